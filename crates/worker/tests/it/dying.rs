//! Workers that die, are thought dead, and drain.

use crate::canceling::called;
use crate::flaky::{Flaky, Losses};
use crate::hooked::hook;
use crate::stage::{Seen, Stage, fault, script, settings};
use domain::lease::Held;
use domain::ports::work::{PutBack, StepReport};
use domain::state::Stage as At;
use serde_json::json;
use simulator::{FaultKind, Script};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use worker::Settings;

const SHORT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_workers_renders_are_adopted_and_never_submitted_again() {
    let stage = Stage::new(script(5.0), 3).await;
    let dying = stage.mortal(Settings { lease: SHORT, ..settings() });
    let ids = stage.submit(10).await;
    stage.until(&ids, Duration::from_secs(10), |g| g.stage == Some(At::Rendering)).await;
    dying.shutdown_background();
    let survivor = stage.worker(Settings { lease: SHORT, ..settings() });
    let all = stage.succeeded(&ids, Duration::from_secs(20)).await;
    assert!(all.iter().all(|generation| generation.attempts == 1));
    assert_eq!(stage.submissions().await.into_values().collect::<Vec<_>>(), [1; 10]);
    stage.assert_all_is_over().await;
    survivor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_workers_submissions_are_repeated_under_the_same_key_and_token() {
    let hang = fault(FaultKind::Hang, 1.0);
    let mut stage = Stage::new(Script { fail: vec![hang], ..script(0.5) }, 5).await;
    stage.deadline = Duration::from_secs(60);
    let dying = stage.mortal(Settings { lease: SHORT, ..settings() });
    let ids = stage.submit(5).await;
    // The upstream has taken them; nobody will hear its answer.
    called(&stage, "generate", 5).await;
    dying.shutdown_background();
    stage.rescript(json!({"fail": []})).await;
    let survivor = stage.worker(Settings { lease: SHORT, ..settings() });
    stage.succeeded(&ids, Duration::from_secs(30)).await;
    let mut renders: Vec<_> = stage.calls("generate").await.into_iter().map(|seen| seen.upstream_id).collect();
    renders.sort();
    renders.dedup();
    assert_eq!(renders.iter().filter(|id| !id.is_empty()).count(), 5, "each was rendered once");
    stage.assert_all_is_over().await;
    survivor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_thought_dead_begins_anew_and_ends_everything_once() {
    let stage = Stage::new(script(4.0), 3).await;
    let worker = stage.worker(Settings { lease: Duration::from_secs(6), ..settings() });
    let ids = stage.submit(10).await;
    stage.until(&ids, Duration::from_secs(10), |g| g.stage == Some(At::Rendering)).await;
    let first = stage.backends.work.workers().await.unwrap().remove(0).id;
    // As another worker finds that the lease has run out.
    stage.backends.work.retire(first).await.unwrap();
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    let now: Vec<_> = stage.backends.work.workers().await.unwrap().into_iter().map(|w| w.id).collect();
    assert!(now.len() == 1 && now[0] != first, "a new incarnation works on");
    assert_eq!(stage.submissions().await.into_values().collect::<Vec<_>>(), [1; 10]);
    stage.assert_all_is_over().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_hands_back_what_was_not_submitted_and_leaves_what_renders() {
    let stage = Stage::new(Script { latency_ms: 300, ..script(3.0) }, 3).await;
    // With eight starts a second, some of what it claims waits for its start.
    let slow = Settings { starts_per_second: 8, lease: Duration::from_secs(30), ..settings() };
    let leaving = stage.worker(slow);
    let ids = stage.submit(12).await;
    stage.until(&ids[..1], Duration::from_secs(10), |g| g.stage == Some(At::Rendering)).await;
    let took = leaving.stop().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(stage.tokens.released(|outcome| matches!(outcome, domain::token::LeaseOutcome::UpstreamError)), 0);
    let left = stage.show(&ids).await;
    let submitted = stage.submissions().await.len();
    let rendering = left.iter().filter(|g| g.stage == Some(At::Rendering)).count();
    assert_eq!(rendering, submitted, "what was submitted renders on");
    assert!(left.iter().filter(|g| g.stage != Some(At::Rendering)).all(|g| g.stage == Some(At::Backlog)));
    let other = stage.worker(settings());
    let all = stage.succeeded(&ids, Duration::from_secs(20)).await;
    assert!(all.iter().all(|generation| generation.attempts == 1));
    assert_eq!(stage.submissions().await.into_values().collect::<Vec<_>>(), [1; 12]);
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_does_not_wait_for_a_hanging_upstream() {
    let mut stage = Stage::new(Script { fail: vec![fault(FaultKind::Hang, 1.0)], ..script(1.0) }, 2).await;
    stage.deadline = Duration::from_secs(60);
    let worker = stage.worker(Settings { drain: Duration::from_secs(1), ..settings() });
    let ids = stage.submit(2).await;
    called(&stage, "generate", 2).await;
    let took = worker.stop().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    // Nobody died of it: what it was submitting went back in doubt.
    let idler = stage.idler().await;
    stage.backends.work.step(idler, StepReport::default()).await.unwrap();
    let claimed = stage.claim(idler, 2).await;
    let counts: Vec<_> = claimed.iter().map(|c| (c.crashes, c.attempts, c.in_doubt.is_some())).collect();
    assert_eq!(counts, [(0, 1, true); 2]);
    let back: Vec<_> = claimed.iter().map(|claimed| untried(claimed.held)).collect();
    stage.backends.work.put_back(idler, &back).await.unwrap();
    stage.rescript(json!({"fail": []})).await;
    let other = stage.worker(settings());
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    let mut calls = stage.calls("generate").await;
    assert_eq!(calls.len(), 4, "each twice");
    calls.sort_by(|a, b| a.key.cmp(&b.key));
    for of_one in calls.chunks(2) {
        let same = |name: fn(&Seen) -> &str| name(&of_one[0]) == name(&of_one[1]);
        assert!(same(|seen| &seen.key) && same(|seen| &seen.token) && same(|seen| &seen.upstream_id), "{of_one:?}");
    }
    other.stop().await;
}

fn untried(held: Held) -> PutBack {
    PutBack { held, after: Duration::ZERO, uses_attempt: false, error: None, in_doubt: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_a_drain_did_not_wait_for_changes_nothing() {
    let mut stage = Stage::new(script(60.0), 2).await;
    let losses = Arc::new(Losses::default());
    // The answer comes while the ledger is busy with what the drain puts back.
    losses.put_back_takes.store(100, Ordering::SeqCst);
    stage.backends.work = Arc::new(Flaky { inner: stage.backends.work.clone(), losses: losses.clone() });
    let late = move || {
        let losses = losses.clone();
        async move { losses.putting_back.notified().await }
    };
    hook(&mut stage, || (), late);
    let worker = stage.worker(Settings { drain: Duration::from_millis(200), ..settings() });
    let ids = stage.submit(2).await;
    stage.until(&ids, Duration::from_secs(10), |g| g.stage == Some(At::Submitting)).await;
    let registry = worker.registry.clone();
    worker.stop().await;
    assert_eq!(crate::stage::metric(&registry, "son1k_worker_stale_writes_total", None), 0.0);
    let left = stage.show(&ids).await;
    assert!(left.iter().all(|g| g.stage == Some(At::Backlog)), "{:?}", left.iter().map(|g| g.stage));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_can_ask_one_to_drain() {
    let stage = Stage::new(script(0.1), 1).await;
    let worker = stage.worker(Settings { lease: Duration::from_secs(6), ..settings() });
    let ids = stage.submit(1).await;
    stage.succeeded(&ids, Duration::from_secs(10)).await;
    let id = stage.backends.work.workers().await.unwrap().remove(0).id;
    assert!(stage.backends.work.ask_to_drain(id).await.unwrap());
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while !stage.backends.work.workers().await.unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < end, "it works on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worker.stop().await;
}
