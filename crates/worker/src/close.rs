//! Closing: the customer's record has ended by a cancel or its deadline, and the upstream is to be told, so that its token is free again.
//!
//! The upstream is told once. One that cannot be told is watched until its render ends, for a while: the token counts as used as long.

use crate::call::CallError;
use crate::hand::{Entry, Phase};
use crate::incarnation::Incarnation;
use crate::settle::Write;
use crate::tokens;
use domain::ids::GenerationId;
use domain::lease::{Fence, Held};
use domain::ports::upstream::{Progress, UpstreamError};
use domain::retry;
use domain::token::LeaseOutcome;
use std::time::Duration;

/// Failed calls in a row before the upstream counts as told.
const TRIES_MOST: u32 = 5;
/// How long a render that cannot be stopped keeps its token, at most.
const WATCHED_LONGEST: Duration = Duration::from_secs(600);
const WATCH_EVERY: Duration = Duration::from_secs(5);
const BACKOFF_LONGEST: Duration = Duration::from_secs(5);

/// Somebody says that it was canceled. What is not ours is somebody else's.
pub(crate) fn asked(inc: &Incarnation, id: GenerationId, fence: Option<Fence>) {
    let begun = inc.hand.with_any(id, |entry| {
        if fence.is_some_and(|fence| fence != entry.fence) {
            return None;
        }
        // Where a call or a write is under way, its end finds out.
        entry.closing = true;
        (entry.phase == Phase::Rendering).then(|| start(entry, id)).flatten()
    });
    if let Some(held) = begun.flatten() {
        inc.timer.schedule(&inc.hand, held, Duration::ZERO);
    }
}

/// Into its closing; `None` when a look is under way, which then looks again.
pub(crate) fn start(entry: &mut Entry, id: GenerationId) -> Option<Held> {
    entry.phase = Phase::Closing;
    entry.failures = 0;
    entry.again = entry.busy;
    (!entry.busy).then_some(Held { id, fence: entry.fence })
}

/// One step of it; answers when the next is due, `None` at its end.
pub(crate) async fn tell_upstream(inc: &Incarnation, held: Held, entry: Entry) -> Option<Duration> {
    let Some(upstream_id) = entry.upstream_id.clone() else { return done(inc, held, LeaseOutcome::Abandoned).await };
    if inc.refused.revoked(entry.lease.token_id) {
        // Nobody can tell the upstream any more.
        return done(inc, held, LeaseOutcome::Abandoned).await;
    }
    let Some(secret) = tokens::secret_of(inc, held, &entry).await else { return failed(inc, held).await };
    if entry.told_upstream {
        return watch(
            inc,
            held,
            &entry,
            inc.call("poll", &entry.trace, inc.upstream.poll(&secret, &upstream_id)).await,
        )
        .await;
    }
    match inc.call("cancel", &entry.trace, inc.upstream.cancel(&secret, &upstream_id)).await {
        Ok(true) => done(inc, held, LeaseOutcome::Ok).await,
        Ok(false) => {
            inc.hand.with(held, |entry| {
                entry.told_upstream = true;
                entry.begun = std::time::Instant::now();
            });
            Some(Duration::ZERO)
        }
        Err(error) => call_failed(inc, held, &entry, error).await,
    }
}

async fn watch(inc: &Incarnation, held: Held, entry: &Entry, seen: Result<Progress, CallError>) -> Option<Duration> {
    match seen {
        Ok(Progress::Rendering { .. }) if entry.begun.elapsed() < WATCHED_LONGEST => Some(WATCH_EVERY),
        Ok(_) => done(inc, held, LeaseOutcome::Ok).await,
        Err(error) => call_failed(inc, held, entry, error).await,
    }
}

async fn call_failed(inc: &Incarnation, held: Held, entry: &Entry, error: CallError) -> Option<Duration> {
    match error {
        CallError::Lost => None,
        CallError::Shut(pause) => Some(pause + BACKOFF_LONGEST.mul_f64(rand::random())),
        CallError::Upstream(UpstreamError::Rejected(_) | UpstreamError::Moderated(_)) => {
            done(inc, held, LeaseOutcome::Ok).await
        }
        CallError::Upstream(UpstreamError::Unauthorized) => {
            inc.revoked(held, entry.lease);
            done(inc, held, LeaseOutcome::Abandoned).await
        }
        CallError::Upstream(_) => failed(inc, held).await,
    }
}

async fn failed(inc: &Incarnation, held: Held) -> Option<Duration> {
    let failures = inc.hand.with(held, |entry| {
        entry.failures += 1;
        entry.failures
    })?;
    if failures >= TRIES_MOST {
        tracing::warn!(generation_id = %held.id, "the upstream could not be told of a cancel");
        return done(inc, held, LeaseOutcome::Abandoned).await;
    }
    Some(retry::full_jitter(failures, rand::random()).min(BACKOFF_LONGEST))
}

async fn done(inc: &Incarnation, held: Held, outcome: LeaseOutcome) -> Option<Duration> {
    inc.hand.take(held, Phase::Closing, Phase::Ending)?;
    inc.write(Write::Closed(held, outcome)).await;
    None
}
