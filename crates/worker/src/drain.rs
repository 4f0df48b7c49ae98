//! The drain: nothing new begins, what was not submitted goes back, calls under way are waited for, renders are left to be adopted.
//!
//! All of it within the drain setting and a few seconds more, whatever hangs.

use crate::incarnation::Incarnation;
use crate::settle::Write;
use domain::ports::work::PutBack;
use domain::token::LeaseOutcome;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// For what is put back in doubt, for polls under way, for the writer's queue, for rings and releases, and for the retirement: each.
const STEP_LIMIT: Duration = Duration::from_secs(1);

pub(crate) async fn run(inc: &Incarnation) {
    let begun = Instant::now();
    let end = begun + inc.settings.drain;
    tracing::info!(worker_id = %inc.id, holding = inc.hand.len(), busy = inc.slots.busy(), "draining");
    inc.signals.draining.cancel();
    let _claim_ends_by_itself = timeout_at(end, ended(&inc.claims)).await;
    if timeout_at(end, ended(&inc.submissions)).await.is_err() {
        tracing::warn!(busy = inc.slots.busy(), "calls under way did not end within the drain");
        let _others_find_what_is_left = timeout(STEP_LIMIT, put_back(inc)).await;
    }
    inc.signals.quiet.cancel();
    let _polls_are_repeated_elsewhere = timeout(STEP_LIMIT, ended(&inc.polls)).await;
    inc.signals.flush.cancel();
    if timeout(STEP_LIMIT, ended(&inc.writer)).await.is_err() {
        tracing::warn!("not everything was written down before the end");
    }
    match timeout(STEP_LIMIT, inc.backends.work.retire(inc.id)).await {
        Ok(Ok(())) => tracing::info!(worker_id = %inc.id, took = ?begun.elapsed(), "retired"),
        Ok(Err(error)) => tracing::warn!(%error, "not retired: others adopt when the lease ends"),
        Err(_) => tracing::warn!("not retired in time: others adopt when the lease ends"),
    }
    // What went back is due: somebody should hear of it, though anybody would find it within a second or so.
    let _ring_may_fail = timeout(STEP_LIMIT, inc.backends.doorbell.ring_workers(None)).await;
    inc.signals.last.cancel();
    let _told = timeout(STEP_LIMIT, ended(&inc.outbox)).await;
}

/// What is still being submitted is repeated elsewhere, under the same key and token where its call has begun. Nobody has died of it: left to
/// be found after the retirement, it would count as if this worker had.
async fn put_back(inc: &Incarnation) {
    for (held, entry) in inc.hand.take_submissions() {
        let in_doubt = entry.called.then_some(entry.lease.token_id);
        let item = PutBack { held, after: Duration::ZERO, uses_attempt: false, error: None, in_doubt };
        inc.write(Write::PutBack(item, LeaseOutcome::Abandoned)).await;
    }
}

async fn ended(tracker: &tokio_util::task::TaskTracker) {
    tracker.close();
    tracker.wait().await;
}
