//! Cancels and deadlines: the customer's record ends at once, and the upstream is told.

use crate::hooked::answers_when_told;
use crate::slow::Slow;
use crate::stage::{Seen, Stage, script, settings};
use domain::event::Notice;
use domain::generation::{CanceledBy, ErrorCode};
use domain::ids::GenerationId;
use domain::ports::generations::{Canceled, Scope};
use domain::state::{Stage as At, Status};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use worker::Settings;

const NEVER: Duration = Duration::from_secs(600);

async fn cancel(stage: &Stage, id: GenerationId) {
    let canceled = stage.backends.generations.cancel(Scope::Everyone, id, CanceledBy::Customer).await.unwrap();
    assert!(matches!(canceled, Canceled::Canceled { tell_workers: true, .. }), "{canceled:?}");
}

/// Until the work rows are gone: the upstream has been told.
pub(crate) async fn closed(stage: &Stage, ids: &[GenerationId]) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let mut held = Vec::new();
        for worker in stage.backends.work.workers().await.unwrap() {
            held.extend(stage.backends.work.held(worker.id).await.unwrap());
        }
        held.retain(|(id, _)| ids.contains(id));
        if held.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "still held: {held:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Until something was called so often.
pub(crate) async fn called(stage: &Stage, call: &str, times: usize) -> Vec<Seen> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let calls = stage.calls(call).await;
        if calls.len() >= times {
            return calls;
        }
        assert!(Instant::now() < end, "{} of {times} calls of {call}", calls.len());
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
    closed(&stage, &ids).await;
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
    closed(&stage, &ids).await;
    assert_eq!(stage.calls("cancel").await.len(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_during_the_submission_is_told_when_it_was_accepted() {
    let mut stage = Stage::new(script(60.0), 1).await;
    // The answer comes when it has been canceled.
    let canceled = answers_when_told(&mut stage);
    let worker = stage.worker(settings());
    let ids = stage.submit(1).await;
    stage.until(&ids, Duration::from_secs(10), |g| g.stage == Some(At::Submitting)).await;
    cancel(&stage, ids[0]).await;
    canceled.notify_one();
    closed(&stage, &ids).await;
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
    let ids = stage.submit_for(2, Duration::from_secs(5)).await;
    for generation in stage.ended(&ids, Duration::from_secs(15)).await {
        assert_eq!(generation.status, Status::Canceled);
        assert_eq!(generation.error.unwrap().code, ErrorCode::DeadlineExceeded);
    }
    closed(&stage, &ids).await;
    assert_eq!(stage.calls("cancel").await.len(), 2);
    assert_eq!(stage.usage().await.balance, before);
    worker.stop().await;
}

/// What renders under one token, of eight renders under two that nobody polls.
async fn under_one_token(stage: &Stage) -> (String, Vec<GenerationId>) {
    let ids = stage.submit(8).await;
    stage.until(&ids, Duration::from_secs(20), |g| g.stage == Some(At::Rendering)).await;
    let calls = stage.calls("generate").await;
    let of =
        |token: &str| calls.iter().filter(|seen| seen.token == token).map(|seen| seen.key.clone()).collect::<Vec<_>>();
    let (one, keys) =
        calls.iter().map(|seen| (seen.token.clone(), of(&seen.token))).max_by_key(|(_, keys)| keys.len()).unwrap();
    (one, ids.into_iter().filter(|id| keys.contains(&id.to_string())).collect())
}

/// The calls with a token after the first that was refused.
async fn after_the_refusal(stage: &Stage, token: &str) -> Vec<Seen> {
    let log = stage.log().await;
    let first = log.iter().position(|seen| seen.fault == "unauthorized" && seen.token == token).expect("a refusal");
    log.into_iter().skip(first + 1).filter(|seen| seen.token == token).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_refused_to_a_cancel_is_called_with_no_more() {
    let stage = Stage::new(script(60.0), 2).await;
    let worker = stage.worker(Settings { poll_first: NEVER, poll_longest: NEVER, ..settings() });
    let (token, under) = under_one_token(&stage).await;
    stage.rescript(json!({"fail": [{"kind": "unauthorized", "probability": 1, "calls": ["cancel"]}]})).await;
    cancel(&stage, under[0]).await;
    stage.backends.doorbell.notify_workers(&[Notice::Closing(under[0])]).await.unwrap();
    // Nobody can ask about its neighbours any more: they begin anew.
    let anew = called(&stage, "generate", 8 + under.len() - 1).await;
    assert!(anew[8..].iter().all(|seen| seen.token != token));
    closed(&stage, &under[..1]).await;
    assert_eq!(after_the_refusal(&stage, &token).await.len(), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_under_a_token_that_was_refused_is_not_told() {
    let stage = Stage::new(script(60.0), 2).await;
    let worker = stage.worker(Settings { poll_first: NEVER, poll_longest: NEVER, ..settings() });
    let (token, under) = under_one_token(&stage).await;
    let fail = json!([
        {"kind": "server_error", "probability": 1, "calls": ["cancel"]},
        {"kind": "unauthorized", "probability": 1, "calls": ["status"]},
    ]);
    stage.rescript(json!({ "fail": fail })).await;
    cancel(&stage, under[0]).await;
    stage.backends.doorbell.notify_workers(&[Notice::Closing(under[0])]).await.unwrap();
    called(&stage, "cancel", 1).await;
    // While it waits to be told again, a look at its neighbour finds the token refused.
    stage.backends.doorbell.notify_workers(&[Notice::CalledBack(under[1])]).await.unwrap();
    called(&stage, "status", 1).await;
    closed(&stage, &under[..1]).await;
    // But for one that was under way.
    assert!(after_the_refusal(&stage, &token).await.len() <= 1);
    worker.stop().await;
}

/// What is past its deadline is ended by then; by tier it is counted afterwards, however long that takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_upstream_is_told_of_a_deadline_before_it_is_counted() {
    let mut stage = Stage::new(script(60.0), 1).await;
    let usual = stage.backends.generations.clone();
    let slow = Slow::on(&usual);
    stage.backends.generations = slow.clone();
    let worker = stage.worker(settings());
    stage.backends.generations = usual;
    let ids = stage.submit_for(1, Duration::from_secs(5)).await;
    called(&stage, "cancel", 1).await;
    assert!(!slow.given_up.load(Ordering::SeqCst), "the count was waited for");
    closed(&stage, &ids).await;
    worker.stop().await;
}
