//! Cancels and deadlines: the customer's record ends at once, and the upstream is told.

use crate::stage::{Stage, script, settings};
use domain::event::Notice;
use domain::generation::{CanceledBy, ErrorCode};
use domain::ids::GenerationId;
use domain::ports::generations::{Canceled, Scope};
use domain::state::{Stage as At, Status};
use std::time::Duration;
use tokio::time::Instant;
use worker::Settings;

async fn cancel(stage: &Stage, id: GenerationId) {
    let canceled = stage.backends.generations.cancel(Scope::Everyone, id, CanceledBy::Customer).await.unwrap();
    assert!(matches!(canceled, Canceled::Canceled { tell_workers: true, .. }), "{canceled:?}");
}

/// Until the work row is gone: the upstream has been told.
async fn closed(stage: &Stage) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let mut held = 0;
        for worker in stage.backends.work.workers().await.unwrap() {
            held += stage.backends.work.held(worker.id).await.unwrap().len();
        }
        if held == 0 {
            return;
        }
        assert!(Instant::now() < end, "{held} rows are still held");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_while_rendering_tells_the_upstream() {
    let stage = Stage::new(script(60.0), 2).await;
    let before = stage.usage().await.balance;
    let worker = stage.worker(settings());
    let ids = stage.submit(3).await;
    stage.until(&ids, Duration::from_secs(10), |g| g.stage == Some(At::Rendering)).await;
    for id in &ids {
        cancel(&stage, *id).await;
    }
    let notices: Vec<_> = ids.iter().map(|id| Notice::Closing(*id)).collect();
    stage.backends.doorbell.notify_workers(&notices).await.unwrap();
    closed(&stage).await;
    let (mut told, mut begun) = (stage.calls("cancel").await, stage.calls("generate").await);
    told.sort_by(|a, b| a.upstream_id.cmp(&b.upstream_id));
    begun.sort_by(|a, b| a.upstream_id.cmp(&b.upstream_id));
    let ids_of = |seen: &[crate::stage::Seen]| seen.iter().map(|s| s.upstream_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids_of(&told), ids_of(&begun));
    assert_eq!(stage.usage().await.balance, before);
    stage.assert_all_is_over().await;
    worker.stop().await;
    assert_eq!(stage.tokens.leased(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_whose_notice_was_lost_is_heard_with_the_renewal() {
    let stage = Stage::new(script(60.0), 1).await;
    let worker = stage.worker(Settings { lease: Duration::from_secs(3), ..settings() });
    let ids = stage.submit(1).await;
    stage.until(&ids, Duration::from_secs(10), |g| g.stage == Some(At::Rendering)).await;
    cancel(&stage, ids[0]).await;
    closed(&stage).await;
    assert_eq!(stage.calls("cancel").await.len(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_during_the_submission_is_told_when_it_was_accepted() {
    let stage = Stage::new(simulator::Script { latency_ms: 700, ..script(60.0) }, 1).await;
    let worker = stage.worker(settings());
    let ids = stage.submit(1).await;
    stage.until(&ids, Duration::from_secs(10), |g| g.stage == Some(At::Submitting)).await;
    cancel(&stage, ids[0]).await;
    closed(&stage).await;
    assert_eq!(stage.calls("generate").await.len(), stage.calls("cancel").await.len());
    assert_eq!(stage.show_one(ids[0]).await.status, Status::Canceled);
    worker.stop().await;
    assert_eq!(stage.tokens.leased(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_past_its_deadline_is_given_up_and_the_upstream_told() {
    let stage = Stage::new(script(60.0), 1).await;
    let before = stage.usage().await.balance;
    let worker = stage.worker(settings());
    let ids = stage.submit_for(2, Duration::from_secs(2)).await;
    for generation in stage.ended(&ids, Duration::from_secs(10)).await {
        assert_eq!(generation.status, Status::Canceled);
        assert_eq!(generation.error.unwrap().code, ErrorCode::DeadlineExceeded);
    }
    closed(&stage).await;
    assert_eq!(stage.calls("cancel").await.len(), 2);
    assert_eq!(stage.usage().await.balance, before);
    worker.stop().await;
}
