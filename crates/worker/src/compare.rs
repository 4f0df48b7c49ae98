//! What the ledger says this worker holds, compared with its hand, so that neither leaks.
//!
//! A claim or an adoption whose answer was lost leaves rows that no task knows: what renders goes on, what was to be submitted is put back, no
//! attempt used. A row that is gone leaves an entry that nobody ends: it is dropped. Both must be seen by two looks in a row, for a look takes
//! time and work goes on meanwhile.

use crate::adopt;
use crate::incarnation::Incarnation;
use crate::settle::Write;
use crate::step::STORE_LIMIT;
use domain::ids::GenerationId;
use domain::lease::{Fence, Held};
use domain::ports::work::PutBack;
use domain::token::LeaseOutcome;
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(30);
/// The second look, and the first after a doubt. Longer than a claim may take.
const SOON: Duration = Duration::from_secs(5);

type Seen = HashSet<(GenerationId, Fence)>;

pub(crate) struct Comparison {
    due: Instant,
    /// Rows without an entry, and entries without a row, at the last look.
    unknown: Seen,
    gone: Seen,
}

impl Default for Comparison {
    fn default() -> Self {
        Self { due: Instant::now() + EVERY, unknown: Seen::new(), gone: Seen::new() }
    }
}

impl Comparison {
    pub(crate) async fn run(&mut self, inc: &Incarnation) {
        let now = Instant::now();
        if inc.doubt.swap(false, Ordering::Relaxed) {
            self.due = self.due.min(now + SOON);
        }
        if now < self.due {
            return;
        }
        self.due = now + EVERY;
        let before = inc.hand.all();
        let rows = match tokio::time::timeout(STORE_LIMIT, inc.backends.work.held(inc.id)).await {
            Ok(Ok(rows)) => Seen::from_iter(rows),
            Ok(Err(error)) => return tracing::warn!(%error, "the hand was not compared with the ledger"),
            Err(_) => return tracing::warn!("the hand was not compared with the ledger in time"),
        };
        let after = inc.hand.all();
        let held = |seen: &(GenerationId, Fence)| {
            before.get(&seen.0).is_some_and(|f| *f == seen.1) || after.get(&seen.0).is_some_and(|f| *f == seen.1)
        };
        let unknown: Seen = rows.iter().filter(|row| !held(row)).copied().collect();
        let gone: Seen =
            before.into_iter().filter(|(id, f)| !rows.contains(&(*id, *f)) && after.get(id) == Some(f)).collect();
        let (twice_unknown, twice_gone) = (&unknown & &self.unknown, &gone & &self.gone);
        let ended = mend(inc, &twice_unknown).await;
        for (id, fence) in &twice_gone {
            tracing::warn!(generation_id = %id, "worked on without being held: dropped");
            inc.metrics.stale_writes.inc();
            inc.over(Held { id: *id, fence: *fence }, LeaseOutcome::Abandoned);
        }
        self.unknown = &unknown - &ended;
        self.gone = &gone - &twice_gone;
        if !self.unknown.is_empty() || !self.gone.is_empty() {
            self.due = now + SOON;
        }
    }
}

/// Takes over what renders or is to be closed, and puts the rest back, one step's worth. Answers what it saw to; the others come with the next look.
async fn mend(inc: &Incarnation, unknown: &Seen) -> Seen {
    let step: Seen = unknown.iter().take(adopt::STEP_MOST).copied().collect();
    let lost: Vec<Held> = step.iter().map(|(id, fence)| Held { id: *id, fence: *fence }).collect();
    let Some(resumed) = adopt::resume(inc, &lost).await else { return Seen::new() };
    for held in lost {
        if resumed.contains(&held.id) {
            tracing::warn!(generation_id = %held.id, "held without being worked on: taken over anew");
            continue;
        }
        tracing::warn!(generation_id = %held.id, "held without being worked on: put back");
        let item = PutBack { held, after: Duration::ZERO, uses_attempt: false, error: None, in_doubt: None };
        inc.write(Write::PutBack(item, LeaseOutcome::Abandoned)).await;
    }
    step
}
