//! Submissions whose answer was lost: repeated with the same token and key, rendered once, charged once.

use crate::hooked::hook;
use crate::stage::{Stage, fault, script, settings};
use domain::token::LeaseOutcome;
use serde_json::json;
use simulator::{FailRule, FaultKind, Script};
use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(1);

/// However often each was submitted.
async fn each_rendered_once_under_one_token(stage: &Stage, count: usize) {
    let (mut tokens, mut renders) = (HashMap::<_, HashSet<_>>::new(), HashSet::new());
    for seen in stage.calls("generate").await {
        tokens.entry(seen.key).or_default().insert(seen.token);
        renders.insert(seen.upstream_id);
    }
    assert!(tokens.len() == count && tokens.values().all(|of_one| of_one.len() == 1), "{tokens:?}");
    assert_eq!(renders.len(), count, "each was rendered once");
}

/// Rows G5 and G9: accepted upstream, and the answer comes too late or never to its end.
async fn is_given_up_in_time_and_found_again(kind: FaultKind) {
    let first = FailRule { calls: Some(vec![simulator::Call::Generate]), ..fault(kind, 1.0) };
    let mut stage = Stage::new(Script { fail: vec![first], ..script(0.5) }, 30).await;
    stage.deadline = DEADLINE;
    let before = stage.usage().await.balance;
    let worker = stage.worker(settings());
    let ids = stage.submit(6).await;
    // The upstream would keep them for minutes. What is tried again soon may be given up again.
    let given_up = stage.tokens.given_back(6, |outcome| *outcome == LeaseOutcome::UpstreamError);
    timeout(DEADLINE + Duration::from_secs(20), given_up).await.expect("given up, and the tokens are free as well");

    stage.rescript(json!({"fail": []})).await;
    worker.shows("son1k_worker_slots", Some("busy"), |busy| busy == 0.0).await;
    stage.succeeded(&ids, Duration::from_secs(30)).await;
    each_rendered_once_under_one_token(&stage, 6).await;
    assert_eq!(stage.usage().await.balance, before - 6);
    stage.assert_all_is_over().await;
    worker.stop().await;
    assert_eq!(stage.tokens.leased(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_given_up_in_time_and_found_again() {
    is_given_up_in_time_and_found_again(FaultKind::Hang).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_drips_is_given_up_in_time_and_found_again() {
    is_given_up_in_time_and_found_again(FaultKind::SlowDrip).await;
}

/// Whatever fails here while the upstream answers, its answer is as good as lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submission_that_panics_is_repeated_with_the_same_token_and_key() {
    let mut stage = Stage::new(script(0.5), 30).await;
    let answers = AtomicUsize::new(0);
    let fails = move || {
        assert!(answers.fetch_add(1, Ordering::SeqCst) >= 6, "on purpose");
        ready(())
    };
    hook(&mut stage, || (), fails);
    let worker = stage.worker(settings());
    let ids = stage.submit(6).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    assert_eq!(worker.metric("son1k_worker_panics_total", None), 6.0);
    each_rendered_once_under_one_token(&stage, 6).await;
    stage.assert_all_is_over().await;
    worker.stop().await;
}

/// A token that never answers may not sink what went out with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_never_answers_is_left_after_half_of_the_attempts() {
    let mute = FailRule { matching: Some("sim-token-00001".into()), ..fault(FaultKind::Reset, 1.0) };
    let stage = Stage::new(Script { fail: vec![mute], ..script(0.1) }, 30).await;
    let worker = stage.worker(settings());
    let ids = stage.submit(30).await;
    let all = stage.succeeded(&ids, Duration::from_secs(60)).await;
    let late: Vec<_> = all.iter().map(|generation| generation.attempts).filter(|attempts| *attempts > 1).collect();
    assert!(!late.is_empty() && late.iter().all(|attempts| (5..=8).contains(attempts)), "{late:?}");
    worker.stop().await;
}
