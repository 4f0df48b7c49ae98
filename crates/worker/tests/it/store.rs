//! A ledger that is out, or whose answers are lost: results are kept, nothing is called twice, nothing leaks.

use crate::flaky::{Flaky, Losses};
use crate::stage::{Stage, metric, script, settings};
use domain::state::Stage as At;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use worker::Settings;

async fn on_a_flaky_ledger(render_seconds: f64) -> (Stage, Arc<Losses>) {
    let mut stage = Stage::new(script(render_seconds), 3).await;
    let losses = Arc::new(Losses::default());
    stage.backends.work = Arc::new(Flaky { inner: stage.backends.work.clone(), losses: losses.clone() });
    (stage, losses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_kept_until_the_ledger_takes_it() {
    let (stage, losses) = on_a_flaky_ledger(0.2).await;
    losses.settlements.store(6, Ordering::SeqCst);
    let worker = stage.worker(settings());
    let ids = stage.submit(5).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    assert_eq!(losses.settlements.load(Ordering::SeqCst), 0);
    assert_eq!(stage.submissions().await.into_values().collect::<Vec<_>>(), [1; 5]);
    stage.assert_all_is_over().await;
    worker.stop().await;
    assert_eq!(stage.tokens.leased(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_in_doubt_is_repeated_and_changes_nothing_twice() {
    let (stage, losses) = on_a_flaky_ledger(0.2).await;
    losses.settlement_answers.store(2, Ordering::SeqCst);
    let worker = stage.worker(settings());
    let ids = stage.submit(5).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    worker.stop().await;
    stage.assert_all_is_over().await;
    assert_eq!(stage.tokens.leased(), 0);
}

/// Committed, not answered, then refused as a whole: what is written one by one is known to have been in doubt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubt_outlasts_a_batch_that_is_taken_apart() {
    let (stage, losses) = on_a_flaky_ledger(0.2).await;
    losses.settlement_answers.store(1, Ordering::SeqCst);
    losses.unreadable.store(1, Ordering::SeqCst);
    let worker = stage.worker(settings());
    let ids = stage.submit(5).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    tokio::time::timeout(Duration::from_secs(20), stage.tokens.all_given_back()).await.unwrap();
    let registry = worker.registry.clone();
    worker.stop().await;
    assert_eq!(losses.unreadable.load(Ordering::SeqCst), 0);
    assert_eq!(metric(&registry, "son1k_worker_stale_writes_total", None), 0.0);
    stage.assert_all_is_over().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_answer_was_lost_is_found_and_put_back() {
    let (stage, losses) = on_a_flaky_ledger(0.2).await;
    losses.claims.store(1, Ordering::SeqCst);
    let worker = stage.worker(settings());
    let ids = stage.submit(3).await;
    let all = stage.succeeded(&ids, Duration::from_secs(30)).await;
    assert!(all.iter().all(|generation| generation.attempts == 1), "what was never tried costs no attempt");
    assert_eq!(stage.submissions().await.into_values().collect::<Vec<_>>(), [1; 3]);
    stage.assert_all_is_over().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renders_whose_adoption_was_never_answered_go_on_and_are_not_submitted_again() {
    let (stage, losses) = on_a_flaky_ledger(6.0).await;
    losses.adoptions.store(1, Ordering::SeqCst);
    let ids = stage.submit(4).await;
    let dying = stage.mortal(settings());
    stage.until(&ids, Duration::from_secs(20), |g| g.stage == Some(At::Rendering)).await;
    let id = stage.backends.work.workers().await.unwrap().remove(0).id;
    dying.shutdown_background();
    stage.backends.work.retire(id).await.unwrap();
    let heir = stage.worker(settings());
    let all = stage.succeeded(&ids, Duration::from_secs(60)).await;
    assert_eq!(losses.adoptions.load(Ordering::SeqCst), 0);
    assert!(all.iter().all(|generation| generation.attempts == 1));
    assert_eq!(stage.submissions().await.into_values().collect::<Vec<_>>(), [1; 4]);
    stage.assert_all_is_over().await;
    heir.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_lease_is_in_question_calls_nobody() {
    let (stage, losses) = on_a_flaky_ledger(0.2).await;
    let worker = stage.worker(Settings { lease: Duration::from_secs(2), ..settings() });
    let first = stage.submit(1).await;
    stage.succeeded(&first, Duration::from_secs(10)).await;
    // Nobody else is there to find it dead: when the ledger is back, so is its lease.
    losses.renewals.store(u32::MAX, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let before = stage.log().await.len();
    let second = stage.submit(1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.log().await.len(), before, "a call was started without a lease");
    losses.renewals.store(0, Ordering::SeqCst);
    stage.succeeded(&second, Duration::from_secs(20)).await;
    worker.stop().await;
}
