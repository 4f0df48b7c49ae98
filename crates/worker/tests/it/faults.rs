//! An upstream that refuses, fails, hangs and goes down.

use crate::stage::{Stage, fault, script, settings};
use async_trait::async_trait;
use domain::generation::ErrorCode;
use domain::ports::Upstream;
use domain::ports::upstream::{Progress, TokenCheck, UpstreamAnswer, UpstreamError, UpstreamJob};
use domain::state::{Stage as At, Status};
use domain::token::LeaseOutcome;
use secrecy::SecretString;
use serde_json::json;
use simulator::{FailRule, FaultKind, Script};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use worker::Settings;

/// Row G1, as far as a short run can tell it: `scripts/chaos` runs the long one. Half of all submissions go wrong, so 2 calls each is what
/// chance alone asks for; the bound leaves room for chance. More of them are refusals that cost no attempt than there: of a hundred none is to
/// use up its eight by chance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mix_of_faults_ends_in_success_with_few_calls() {
    let fail = vec![
        fault(FaultKind::RateLimited, 0.4),
        fault(FaultKind::ServerError, 0.05),
        fault(FaultKind::Reset, 0.03),
        fault(FaultKind::Hang, 0.01),
        fault(FaultKind::SlowDrip, 0.01),
    ];
    let mut stage = Stage::new(Script { fail, ..script(0.2) }, 50).await;
    stage.deadline = Duration::from_secs(2);
    let before = stage.usage().await.balance;
    let worker = stage.worker(Settings { poll_longest: Duration::from_secs(1), ..settings() });
    let ids = stage.submit(100).await;
    stage.succeeded(&ids, Duration::from_secs(110)).await;
    let submissions = stage.submissions().await;
    let average = submissions.values().sum::<usize>() as f64 / 100.0;
    assert!(average <= 2.8, "{average} submissions each");
    assert_eq!(stage.usage().await.balance, before - 100);
    stage.assert_all_is_over().await;
    worker.stop().await;
    assert!(stage.tokens.released(|outcome| matches!(outcome, LeaseOutcome::RateLimited { .. })) > 0);
    assert_eq!(stage.tokens.leased(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_is_called_once_fails_and_is_refunded() {
    let stage = Stage::new(Script { fail: vec![fault(FaultKind::Rejected, 1.0)], ..script(0.1) }, 3).await;
    let before = stage.usage().await.balance;
    let worker = stage.worker(settings());
    let ids = stage.submit(4).await;
    for generation in stage.ended(&ids, Duration::from_secs(10)).await {
        assert_eq!((generation.status, generation.attempts), (Status::Failed, 1));
        let error = generation.error.unwrap();
        assert_eq!((error.code, error.message.contains("422")), (ErrorCode::UpstreamRejected, true), "{error:?}");
    }
    assert_eq!(stage.submissions().await.into_values().collect::<Vec<_>>(), [1; 4]);
    assert_eq!(stage.usage().await.balance, before);
    stage.assert_all_is_over().await;
    worker.stop().await;
    assert_eq!(stage.tokens.released(|outcome| *outcome == LeaseOutcome::Ok), 4, "the tokens did nothing wrong");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_costs_no_generation_an_attempt() {
    let refused = FailRule { matching: Some("sim-token-00001".into()), ..fault(FaultKind::Unauthorized, 1.0) };
    let stage = Stage::new(Script { fail: vec![refused], ..script(0.1) }, 4).await;
    let worker = stage.worker(Settings { concurrency: 4, ..settings() });
    let ids = stage.submit(20).await;
    let all = stage.succeeded(&ids, Duration::from_secs(15)).await;
    assert!(all.iter().all(|generation| generation.attempts == 1), "no attempt is used");
    let refused: Vec<_> =
        stage.calls("generate").await.into_iter().filter(|seen| seen.fault == "unauthorized").collect();
    // Row G3: the first, and what had been leased before its answer was known.
    assert!((1..=3).contains(&refused.len()), "{} calls with it", refused.len());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_revoked_under_its_renders_is_asked_no_more_and_they_begin_anew() {
    let stage = Stage::new(script(6.0), 4).await;
    let before = stage.usage().await.balance;
    let worker = stage.worker(settings());
    let ids = stage.submit(40).await;
    stage.until(&ids, Duration::from_secs(20), |generation| generation.stage == Some(At::Rendering)).await;
    stage.rescript(json!({"fail": [{"kind": "unauthorized", "probability": 1, "match": "sim-token-00002"}]})).await;
    let all = stage.succeeded(&ids, Duration::from_secs(60)).await;
    assert!(all.iter().all(|generation| generation.attempts == 1), "no attempt is used");
    let log = stage.log().await;
    let first = log.iter().position(|seen| seen.fault == "unauthorized").expect("it was in use");
    let after = log[first + 1..].iter().filter(|seen| seen.token == log[first].token).count();
    // Row G3: those that were under way.
    assert!(after <= 5, "{after} calls with it after the first that was refused");
    let twice = stage.submissions().await.values().filter(|count| **count > 1).count();
    assert!((5..=20).contains(&twice), "{twice} began anew");
    assert_eq!(stage.usage().await.balance, before - 40);
    stage.assert_all_is_over().await;
    worker.stop().await;
    assert_eq!(stage.tokens.leased(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_render_is_tried_anew() {
    let failing = FailRule { matching: Some("sim-token-00001".into()), ..fault(FaultKind::RenderFailed, 1.0) };
    let stage = Stage::new(Script { fail: vec![failing], ..script(0.1) }, 6).await;
    let worker = stage.worker(settings());
    let ids = stage.submit(6).await;
    let all = stage.succeeded(&ids, Duration::from_secs(60)).await;
    assert!(all.iter().any(|generation| generation.attempts > 1), "one of them met the failing token");
    stage.assert_all_is_over().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_upstream_is_down_only_probes_reach_it() {
    let down = Script { fail: vec![fault(FaultKind::ServerError, 1.0)], ..script(0.1) };
    let stage = Stage::new(down, 10).await;
    let worker = stage.worker(settings());
    let ids = stage.submit(80).await;
    worker.shows("son1k_upstream_breaker_open", None, |open| open > 0.0).await;
    // Calls that were under way when it opened end first.
    worker.shows("son1k_worker_slots", Some("busy"), |busy| busy == 0.0).await;
    let before = stage.log().await.len();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let probes = stage.log().await.len() - before;
    assert!((1..=5).contains(&probes), "{probes} calls while it was down");
    stage.rescript(json!({"fail": []})).await;
    let healed = tokio::time::Instant::now();
    worker.shows("son1k_upstream_breaker_open", None, |open| open == 0.0).await;
    assert!(healed.elapsed() < Duration::from_secs(10), "no recovery within 10 s");
    stage.succeeded(&ids, Duration::from_secs(30)).await;
    worker.stop().await;
}

/// Row G10: an upstream that says "again at once" is not asked more than once a second and token for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_allows_a_busy_loop_gets_none() {
    let mut stage = Stage::new(script(0.1), 1).await;
    let limiting = Arc::new(Limiting::default());
    stage.instead = Some(limiting.clone());
    let worker = stage.worker(settings());
    let begun = tokio::time::Instant::now();
    let ids = stage.submit(10).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let calls = limiting.calls.load(Ordering::SeqCst);
    // One a second, the first at once, and one that another thread had begun by then.
    assert!(calls >= 1 && calls as f64 <= 2.0 + begun.elapsed().as_secs_f64(), "{calls} calls with one token");
    worker.stop().await;
    let all = stage.show(&ids).await;
    assert!(all.iter().all(|g| g.status == Status::Queued && g.attempts == 0), "a limit costs no attempt");
}

/// Limits everybody, and says that no time at all need pass.
#[derive(Default)]
struct Limiting {
    calls: AtomicUsize,
}

#[async_trait]
impl Upstream for Limiting {
    async fn submit(&self, _secret: &SecretString, _job: &UpstreamJob) -> Result<UpstreamAnswer, UpstreamError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Err(UpstreamError::RateLimited { retry_after: Some(Duration::ZERO) })
    }

    async fn poll(&self, _secret: &SecretString, _upstream_id: &str) -> Result<Progress, UpstreamError> {
        Ok(Progress::Unknown)
    }

    async fn cancel(&self, _secret: &SecretString, _upstream_id: &str) -> Result<bool, UpstreamError> {
        Ok(false)
    }

    async fn check(&self, _secret: &SecretString) -> Result<TokenCheck, UpstreamError> {
        Ok(TokenCheck { credits_left: None })
    }
}
