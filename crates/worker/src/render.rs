//! Renders: polled at growing, jittered intervals, or at once when the upstream calls back. A render holds no slot and no task, only an
//! entry in the hand and a moment on the timer.

use crate::call::CallError;
use crate::close;
use crate::hand::{Entry, Phase};
use crate::incarnation::Incarnation;
use crate::settle::Write;
use crate::{tokens, trace};
use domain::event::Change;
use domain::generation::{ErrorCode, GenerationError};
use domain::ids::GenerationId;
use domain::lease::Held;
use domain::ports::upstream::{Progress, UpstreamError};
use domain::ports::work::{PutBack, Settlement};
use domain::retry::{self, Failure, Verdict};
use domain::token::LeaseOutcome;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// "No such job" may be an upstream that is not in step with itself; three in a row are believed.
const UNKNOWN_MOST: u32 = 3;
/// Gateways hear of one generation's progress at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// A worker polls no more often than this in all, a second: with more renders the pauses grow instead.
const POLLS_PER_SECOND: f64 = 1_000.0;
/// What chance adds to a pause, at most.
const JITTER: f64 = 0.2;
/// An upstream that has recovered is noticed within this.
const BACKOFF_LONGEST: Duration = Duration::from_secs(8);
/// Between two looks that callbacks asked for.
const CALLBACK_REST: Duration = Duration::from_millis(500);
/// After something happened during a poll.
pub(crate) const SOON: Duration = Duration::from_millis(100);

pub(crate) async fn run(inc: Arc<Incarnation>) {
    let work = async {
        loop {
            let (id, turn) = inc.timer.next().await;
            let Ok(permit) = inc.polls_in_flight.clone().acquire_owned().await else { return };
            let Some((held, entry)) = begin(&inc, id, turn) else { continue };
            let inc = inc.clone();
            inc.clone().polls.spawn(async move {
                let span = tracing::info_span!(
                    "poll",
                    generation_id = %held.id,
                    account_id = %entry.account_id,
                    trace_id = trace::id(&entry.trace),
                );
                let work = AssertUnwindSafe(Box::pin(look(&inc, held, entry)).instrument(span));
                let pause = work.catch_unwind().await.unwrap_or_else(|_| {
                    inc.metrics.panics.inc();
                    tracing::error!(generation_id = %held.id, "a poll panicked");
                    Some(BACKOFF_LONGEST)
                });
                end(&inc, held, pause);
                drop(permit);
            });
        }
    };
    tokio::select! {
        () = inc.signals.quiet.cancelled() => {}
        () = inc.signals.lost.cancelled() => {}
        () = work => {}
    }
}

/// Its turn, unless it was scheduled anew or is being looked at already.
fn begin(inc: &Incarnation, id: GenerationId, turn: u32) -> Option<(Held, Entry)> {
    inc.hand
        .with_any(id, |entry| {
            let live = matches!(entry.phase, Phase::Rendering | Phase::Closing);
            (live && entry.turn == turn && !entry.busy).then(|| {
                entry.busy = true;
                (Held { id, fence: entry.fence }, entry.clone())
            })
        })
        .flatten()
}

/// Frees it for its next turn; with a pause it has one.
fn end(inc: &Incarnation, held: Held, pause: Option<Duration>) {
    let next = inc.hand.with(held, |entry| {
        entry.busy = false;
        if !std::mem::take(&mut entry.again) {
            return pause;
        }
        if entry.phase != Phase::Rendering {
            return Some(SOON);
        }
        let now = Instant::now();
        let pause = rest(entry, now).max(SOON);
        entry.called_back = Some(now + pause);
        Some(pause)
    });
    if let Some(pause) = next.flatten() {
        inc.timer.schedule(&inc.hand, held, pause);
    }
}

/// Whoever has the address for callbacks may repeat them without end; that must not become calls of the upstream without end.
fn rest(entry: &Entry, now: Instant) -> Duration {
    entry.called_back.map_or(Duration::ZERO, |last| (last + CALLBACK_REST).saturating_duration_since(now))
}

/// One look; answers when the next one is due, or `None` when there is none.
async fn look(inc: &Arc<Incarnation>, held: Held, entry: Entry) -> Option<Duration> {
    match entry.phase {
        Phase::Closing => close::tell_upstream(inc, held, entry).await,
        _ => poll(inc, held, entry).await,
    }
}

async fn poll(inc: &Incarnation, held: Held, entry: Entry) -> Option<Duration> {
    if inc.refused.revoked(entry.lease.token_id) {
        return with_another_token(inc, held).await;
    }
    let upstream_id = entry.upstream_id.clone().unwrap_or_default();
    let Some(secret) = tokens::secret_of(inc, held, &entry).await else { return Some(after_failure(inc, held, None)) };
    match inc.call("poll", &entry.trace, inc.upstream.poll(&secret, &upstream_id)).await {
        Ok(Progress::Rendering { fraction, remaining }) => {
            inc.hand.with(held, |entry| (entry.failures, entry.unknown) = (0, 0));
            progressed(inc, held, fraction);
            Some(next_pause(inc, held, remaining))
        }
        Ok(Progress::Completed(output)) => {
            let entry = inc.hand.take(held, Phase::Rendering, Phase::Ending)?;
            inc.metrics.upstream_time.observe(entry.begun.elapsed().as_secs_f64());
            let settlement = Settlement { held, outcome: Ok(output), upstream_id: Some(upstream_id) };
            inc.write(Write::Settle(settlement, LeaseOutcome::Ok)).await;
            None
        }
        Ok(Progress::Failed { message, moderated: true }) => {
            give_up(inc, held, GenerationError::new(ErrorCode::ModerationBlocked, message)).await
        }
        Ok(Progress::Failed { message, moderated: false }) => try_anew(inc, held, message).await,
        Ok(Progress::Unknown) => {
            let unknown = inc.hand.with(held, |entry| {
                entry.unknown += 1;
                entry.unknown
            })?;
            if unknown >= UNKNOWN_MOST {
                return try_anew(inc, held, "the upstream lost the render".into()).await;
            }
            Some(next_pause(inc, held, None))
        }
        Err(CallError::Lost) => None,
        Err(CallError::Shut(pause)) => Some(pause + inc.settings.poll_longest.mul_f64(rand::random::<f64>() / 2.0)),
        Err(CallError::Upstream(UpstreamError::Unauthorized)) => {
            inc.revoked(held, entry.lease);
            with_another_token(inc, held).await
        }
        Err(CallError::Upstream(error)) => Some(poll_failed(inc, held, &entry, &error)),
    }
}

/// The upstream has refused the token, so nobody can ask about this render any more: it is begun anew with another one. That is nobody's
/// failure and costs no attempt.
async fn with_another_token(inc: &Incarnation, held: Held) -> Option<Duration> {
    inc.hand.take(held, Phase::Rendering, Phase::Ending)?;
    let error = UpstreamError::Unauthorized.to_string();
    let put_back = PutBack { held, after: Duration::ZERO, uses_attempt: false, error: Some(error), in_doubt: None };
    inc.write(Write::PutBack(put_back, LeaseOutcome::Abandoned)).await;
    None
}

/// The poll failed, not the render: it is asked again, up to the deadline that the ledger keeps.
fn poll_failed(inc: &Incarnation, held: Held, entry: &Entry, error: &UpstreamError) -> Duration {
    if *error == UpstreamError::OutOfCredit && !entry.reported {
        inc.report(held, entry.lease, LeaseOutcome::OutOfCredit);
    }
    let asked =
        if let UpstreamError::RateLimited { retry_after } = error { Some(retry::clamp(*retry_after)) } else { None };
    after_failure(inc, held, asked)
}

fn after_failure(inc: &Incarnation, held: Held, asked: Option<Duration>) -> Duration {
    let failures = inc.hand.with(held, |entry| {
        entry.failures = entry.failures.saturating_add(1);
        entry.failures
    });
    // Twice as long each time, of which half is left to chance. The render goes on meanwhile: there is no reason to wait long at first.
    let ceiling = inc.settings.poll_first.saturating_mul(1 << failures.unwrap_or(1).min(16)).min(BACKOFF_LONGEST);
    asked.unwrap_or_default().max(ceiling.mul_f64(0.5 + rand::random::<f64>() / 2.0))
}

/// The first look at a render that has just begun.
pub(crate) fn first_pause(inc: &Incarnation, remaining: Option<Duration>) -> Duration {
    pause(inc, inc.settings.poll_first, remaining)
}

/// Half as long again as the last one; longer where this worker has more renders than it may look at.
fn next_pause(inc: &Incarnation, held: Held, remaining: Option<Duration>) -> Duration {
    let (first, longest) = (inc.settings.poll_first, inc.settings.poll_longest);
    let grown = inc.hand.with(held, |entry| {
        entry.pause = entry.pause.mul_f64(1.5).max(first).min(longest);
        entry.pause
    });
    let crowded = Duration::from_secs_f64(inc.hand.len() as f64 / POLLS_PER_SECOND);
    pause(inc, grown.unwrap_or(longest), remaining).max(jittered(crowded))
}

/// Until the end, where the upstream names it, else the usual pause; jittered, and the longest at most: whoever listens hears of progress.
fn pause(inc: &Incarnation, usual: Duration, remaining: Option<Duration>) -> Duration {
    let (first, longest) = (inc.settings.poll_first, inc.settings.poll_longest);
    let wanted = remaining.filter(|remaining| *remaining >= first).unwrap_or(usual);
    jittered(wanted.min(longest.div_f64(1.0 + JITTER)))
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + rand::random::<f64>() * JITTER)
}

pub(crate) fn progressed(inc: &Incarnation, held: Held, fraction: Option<f32>) {
    let Some(progress) = fraction else { return };
    let change = inc.hand.with(held, |entry| {
        let fresh = entry.told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY);
        (fresh && entry.phase == Phase::Rendering).then(|| {
            entry.told = Some(Instant::now());
            Change { id: held.id, account_id: entry.account_id, version: entry.version, progress: Some(progress) }
        })
    });
    if let Some(change) = change.flatten() {
        inc.tell(change);
    }
}

/// The render is lost, the generation is not: another try, as long as there are any.
async fn try_anew(inc: &Incarnation, held: Held, message: String) -> Option<Duration> {
    let attempts = inc.hand.with(held, |entry| entry.attempts)?;
    match retry::decide(&Failure::Unavailable { message: message.clone() }, attempts, rand::random()) {
        Verdict::Fail(error) => give_up(inc, held, error).await,
        Verdict::Retry { after, uses_attempt } => {
            inc.hand.take(held, Phase::Rendering, Phase::Ending)?;
            let put_back = PutBack { held, after, uses_attempt, error: Some(message), in_doubt: None };
            inc.write(Write::PutBack(put_back, LeaseOutcome::Ok)).await;
            None
        }
    }
}

async fn give_up(inc: &Incarnation, held: Held, error: GenerationError) -> Option<Duration> {
    let entry = inc.hand.take(held, Phase::Rendering, Phase::Ending)?;
    let settlement = Settlement { held, outcome: Err(error), upstream_id: entry.upstream_id };
    inc.write(Write::Settle(settlement, LeaseOutcome::Ok)).await;
    None
}

/// The upstream called back: look now, unless a look is due anyway. Most workers do not have it, and what has ended nobody has.
pub(crate) fn called_back(inc: &Incarnation, id: GenerationId) {
    let looks = inc.hand.with_any(id, |entry| {
        // What is not written down yet is looked at as soon as it is.
        if entry.busy || matches!(entry.phase, Phase::Submitting | Phase::Accepted) {
            entry.again = true;
        }
        let now = Instant::now();
        let rested = rest(entry, now);
        let sooner = entry.phase == Phase::Rendering && !entry.busy && entry.due > now + rested + SOON;
        sooner.then(|| {
            entry.called_back = Some(now + rested);
            (Held { id, fence: entry.fence }, rested)
        })
    });
    let whose = if looks.is_some() { "ours" } else { "not_ours" };
    inc.metrics.rings.with_label_values(&["called_back", whose]).inc();
    if let Some((held, rested)) = looks.flatten() {
        inc.timer.schedule(&inc.hand, held, rested);
    }
}
