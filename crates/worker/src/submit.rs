//! One claimed generation, from the claim to the upstream's answer. This is what a slot is held for, and nothing else.

use crate::call::CallError;
use crate::hand::{Entry, Phase};
use crate::incarnation::Incarnation;
use crate::pace::Waiting;
use crate::settle::Write;
use crate::suspects::Suspect;
use crate::{tokens, trace};
use domain::generation::{GenerationError, Output};
use domain::ids::{LeaseId, TokenId};
use domain::lease::{Held, LeaseRef};
use domain::ports::upstream::{UpstreamAnswer, UpstreamError, UpstreamJob};
use domain::ports::work::{Accepted, Claimed, PutBack, Settlement};
use domain::retry::{self, Failure, SAME_TOKEN_MOST, Verdict};
use domain::token::LeaseOutcome;
use futures::FutureExt;
use opentelemetry::trace::SpanContext;
use secrecy::SecretString;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Those that were stopped by the breaker come back spread over this.
const SPREAD: Duration = Duration::from_secs(2);
/// One whose token was refused meanwhile comes back when the pool knows it too.
const ANOTHER_TOKEN: Duration = Duration::from_millis(250);

/// Takes it in hand and begins. The slot comes with it; a panic of one costs only that one.
pub(crate) fn begin(
    inc: &Arc<Incarnation>,
    claimed: Claimed,
    secret: SecretString,
    suspect: Option<Suspect>,
    trace: SpanContext,
) {
    let held = claimed.held;
    let slot = inc.slots.take();
    let waiting = inc.pace.enter();
    if claimed.attempts == 1 && claimed.crashes == 0 {
        let waited = (inc.backends.clock.now() - claimed.created_at).to_std().unwrap_or_default();
        inc.metrics.wait.observe(waited.as_secs_f64());
    }
    inc.hand.put(
        held.id,
        Entry {
            version: claimed.version,
            secret: Some(secret.clone()),
            attempts: claimed.attempts,
            trace: trace.clone(),
            ..Entry::new(held, claimed.account_id, claimed.tier, claimed.lease, Phase::Submitting)
        },
    );
    let inc = inc.clone();
    inc.clone().submissions.spawn(async move {
        let span = tracing::info_span!(
            "submit",
            generation_id = %held.id,
            account_id = %claimed.account_id,
            trace_id = trace::id(&trace),
        );
        let work = AssertUnwindSafe(Box::pin(submit(&inc, &claimed, secret, waiting)).instrument(span));
        if work.catch_unwind().await.is_err() {
            inc.metrics.panics.inc();
            tracing::error!(generation_id = %held.id, "a submission panicked");
            // The call may have been under way: the upstream may have taken it.
            let error = UpstreamError::Unclear("this service failed while submitting".into());
            refused(&inc, &claimed, &error).await;
        }
        drop((slot, suspect));
    });
}

async fn submit(inc: &Arc<Incarnation>, claimed: &Claimed, secret: SecretString, waiting: Waiting) {
    let held = claimed.held;
    let (secret, keeping) = match claimed.in_doubt {
        Some(token) if token != claimed.lease.token_id && claimed.attempts <= SAME_TOKEN_MOST => {
            let Some(found) = unless_it_ends(inc, held, same_token(inc, held, token)).await else { return };
            found.unwrap_or((secret, None))
        }
        _ => (secret, None),
    };
    tokens::kept(inc, keeping, call(inc, claimed, secret, waiting)).await;
}

/// Its start, and the call. Nothing that takes its time may come between the two.
async fn call(inc: &Arc<Incarnation>, claimed: &Claimed, secret: SecretString, waiting: Waiting) {
    let held = claimed.held;
    let start = waiting.start(|| inc.standing.stands(&inc.signals.lost));
    let Some(true) = unless_it_ends(inc, held, start).await else { return };
    let seen = inc.hand.with(held, |entry| (entry.closing, entry.lease.token_id, entry.trace.clone()));
    let Some((closing, token, trace)) = seen else { return };
    if closing {
        inc.hand.take(held, Phase::Submitting, Phase::Ending);
        return inc.write(Write::Closed(held, LeaseOutcome::Abandoned)).await;
    }
    if inc.refused.contains(token) {
        return hand_back(inc, held, ANOTHER_TOKEN, LeaseOutcome::Abandoned).await;
    }
    let job = UpstreamJob { id: held.id, request: claimed.request.clone(), callback_url: callback_url(inc, claimed) };
    let begins = inc.hand.with(held, |entry| {
        (entry.begun, entry.called) = (Instant::now(), true);
        entry.phase == Phase::Submitting
    });
    // A drain that could not wait any longer has put it back.
    let Some(true) = begins else { return };
    match inc.call("submit", &trace, inc.upstream.submit(&secret, &job)).await {
        Ok(UpstreamAnswer::Accepted { upstream_id, remaining }) => accepted(inc, held, upstream_id, remaining).await,
        Ok(UpstreamAnswer::Completed { upstream_id, output }) => completed(inc, held, upstream_id, output).await,
        Err(CallError::Lost) => {}
        Err(CallError::Shut(pause)) => {
            let after = pause + SPREAD.mul_f64(rand::random());
            hand_back(inc, held, after, LeaseOutcome::Abandoned).await;
        }
        Err(CallError::Upstream(error)) => refused(inc, claimed, &error).await,
    }
}

/// Waits, unless the incarnation ends before. In a drain it goes back.
async fn unless_it_ends<T>(inc: &Incarnation, held: Held, wait: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = inc.signals.lost.cancelled() => None,
        () = inc.signals.draining.cancelled() => {
            hand_back(inc, held, Duration::ZERO, LeaseOutcome::Abandoned).await;
            None
        }
        waited = wait => Some(waited),
    }
}

/// Good until the generation's deadline, and the same in every repeat: an upstream that compares the bodies under one key finds no other.
fn callback_url(inc: &Incarnation, claimed: &Claimed) -> Option<String> {
    let at = inc.settings.called_back_at.as_ref()?;
    at.callbacks.url(&at.public_url, claimed.held.id, claimed.deadline)
}

/// The repeat of a submission in doubt belongs to the token that it went out with: idempotency keys are probably per token. Where the
/// pool cannot give that one, the claimed one has to do.
async fn same_token(inc: &Incarnation, held: Held, token: TokenId) -> Option<(SecretString, Option<LeaseId>)> {
    let lease = tokens::this_one(inc, token).await?;
    let used = LeaseRef { lease_id: lease.lease_id, token_id: lease.token_id };
    inc.hand.with(held, |entry| {
        entry.spare = Some(std::mem::replace(&mut entry.lease, used));
        entry.secret = Some(lease.secret.clone());
    })?;
    Some((lease.secret, Some(used.lease_id)))
}

async fn accepted(inc: &Incarnation, held: Held, upstream_id: String, remaining: Option<Duration>) {
    let Some(entry) = inc.hand.take(held, Phase::Submitting, Phase::Accepted) else { return };
    inc.hand.with(held, |entry| (entry.upstream_id, entry.estimate) = (Some(upstream_id.clone()), remaining));
    inc.write(Write::Rendering(Accepted { held, upstream_id, lease: entry.lease })).await;
}

async fn completed(inc: &Incarnation, held: Held, upstream_id: String, output: Output) {
    let Some(entry) = inc.hand.take(held, Phase::Submitting, Phase::Ending) else { return };
    inc.metrics.upstream_time.observe(entry.begun.elapsed().as_secs_f64());
    let settlement = Settlement { held, outcome: Ok(output), upstream_id: Some(upstream_id) };
    inc.write(Write::Settle(settlement, LeaseOutcome::Ok)).await;
}

/// What the upstream's answer says of the token, and of trying again.
fn judge(error: &UpstreamError) -> (LeaseOutcome, Failure) {
    let message = error.to_string();
    match *error {
        UpstreamError::Rejected(_) => (LeaseOutcome::Ok, Failure::Rejected { message }),
        UpstreamError::Moderated(_) => (LeaseOutcome::Ok, Failure::Moderated { message }),
        // The token rests as long as it was told to; the generation takes another one soon.
        UpstreamError::RateLimited { retry_after } => {
            (LeaseOutcome::RateLimited { retry_after }, Failure::Token { retry_after: None })
        }
        UpstreamError::Unauthorized => (LeaseOutcome::Unauthorized, Failure::Token { retry_after: None }),
        UpstreamError::OutOfCredit => (LeaseOutcome::OutOfCredit, Failure::Token { retry_after: None }),
        UpstreamError::Unavailable(_) | UpstreamError::Unclear(_) => {
            (LeaseOutcome::UpstreamError, Failure::Unavailable { message })
        }
        UpstreamError::TimedOut(_) => (LeaseOutcome::UpstreamError, Failure::TimedOut { message }),
    }
}

async fn refused(inc: &Incarnation, claimed: &Claimed, error: &UpstreamError) {
    let held = claimed.held;
    let text = error.to_string();
    let (outcome, failure) = judge(error);
    match retry::decide(&failure, claimed.attempts, rand::random()) {
        Verdict::Fail(error) => fail(inc, held, error, outcome).await,
        Verdict::Retry { after, uses_attempt } => {
            let Some(entry) = inc.hand.take(held, Phase::Submitting, Phase::Ending) else { return };
            if matches!(failure, Failure::Token { .. }) {
                // The pool hears of a bad token before the next commit, not after it.
                inc.report(held, entry.lease, outcome);
            }
            // Named: the token of the call, which in a repeat is not the claimed one.
            let in_doubt = error.leaves_doubt().then_some(entry.lease.token_id);
            let item = PutBack { held, after, uses_attempt, error: Some(text), in_doubt };
            inc.write(Write::PutBack(item, outcome)).await;
        }
    }
}

async fn fail(inc: &Incarnation, held: Held, error: GenerationError, outcome: LeaseOutcome) {
    if inc.hand.take(held, Phase::Submitting, Phase::Ending).is_some() {
        let settlement = Settlement { held, outcome: Err(error), upstream_id: None };
        inc.write(Write::Settle(settlement, outcome)).await;
    }
}

/// Nothing went wrong with it: back to the ledger, no attempt used.
async fn hand_back(inc: &Incarnation, held: Held, after: Duration, outcome: LeaseOutcome) {
    if inc.hand.take(held, Phase::Submitting, Phase::Ending).is_some() {
        let item = PutBack { held, after, uses_attempt: false, error: None, in_doubt: None };
        inc.write(Write::PutBack(item, outcome)).await;
    }
}
