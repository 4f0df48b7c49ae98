//! Adoption: renders and closings of dead workers are resumed under their upstream id. Nothing here is ever submitted again.

use crate::hand::{Entry, Phase};
use crate::incarnation::Incarnation;
use crate::step::STORE_LIMIT;
use crate::trace;
use domain::ids::GenerationId;
use domain::lease::Held;
use domain::ports::StoreError;
use domain::ports::work::Adopted;
use domain::state::WorkState;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

pub(crate) const STEP_MOST: usize = 500;
/// The polls of what was adopted together are spread over this, so that a death is no stampede.
const SPREAD: Duration = Duration::from_secs(2);

/// At most one step's worth; what is left goes to others, or to the next step.
pub(crate) async fn run(inc: &Incarnation) {
    let room = (inc.settings.renders_most as usize).saturating_sub(inc.hand.len()).min(STEP_MOST);
    let Ok(limit @ 1..) = u16::try_from(room) else { return };
    match tokio::time::timeout(STORE_LIMIT, inc.backends.work.adopt(inc.id, limit)).await {
        Ok(Ok(adopted)) => {
            if !adopted.is_empty() {
                tracing::info!(count = adopted.len(), "adopted what dead workers left");
            }
            for one in adopted {
                take_over(inc, one);
            }
        }
        Ok(Err(error)) => {
            if matches!(error, StoreError::InDoubt(_)) {
                inc.doubt.store(true, Ordering::Relaxed);
            }
            tracing::warn!(%error, "the adoption failed; the next step tries again");
        }
        Err(_) => {
            inc.doubt.store(true, Ordering::Relaxed);
            tracing::warn!("the adoption did not end in time");
        }
    }
}

/// What of these this worker owns and renders or is to close: an adoption whose answer was lost. It goes on under its upstream id; what is
/// answered are those ids. `None`: not now.
pub(crate) async fn resume(inc: &Incarnation, unknown: &[Held]) -> Option<HashSet<GenerationId>> {
    if unknown.is_empty() {
        return Some(HashSet::new());
    }
    match tokio::time::timeout(STORE_LIMIT, inc.backends.work.resume(inc.id, unknown)).await {
        Ok(Ok(adopted)) => {
            let ids = adopted.iter().map(|one| one.held.id).collect();
            for one in adopted {
                take_over(inc, one);
            }
            return Some(ids);
        }
        Ok(Err(error)) => tracing::warn!(%error, "what is held without being known was not taken over"),
        Err(_) => tracing::warn!("what is held without being known was not taken over in time"),
    }
    None
}

fn take_over(inc: &Incarnation, adopted: Adopted) {
    let phase = if adopted.state == WorkState::Closing { Phase::Closing } else { Phase::Rendering };
    let since = adopted.rendering_at.and_then(|at| (inc.backends.clock.now() - at).to_std().ok()).unwrap_or_default();
    let held = adopted.held;
    let (row, now) = (trace::parse(adopted.trace.as_deref()), SystemTime::now());
    let said = vec![KeyValue::new("generation_id", held.id.to_string())];
    inc.hand.put(
        held.id,
        Entry {
            upstream_id: adopted.upstream_id,
            attempts: adopted.attempts,
            trace: trace::tell("adopt", SpanKind::Internal, &row, (now, now), said, false),
            begun: Instant::now().checked_sub(since).unwrap_or_else(Instant::now),
            ..Entry::new(held, adopted.account_id, adopted.tier, adopted.lease, phase)
        },
    );
    inc.timer.schedule(&inc.hand, held, SPREAD.mul_f64(rand::random()));
}
