//! The writer: every change of what this worker holds, batched. What gathers while one batch is being written makes up the next; there is
//! no timer, and nothing waits when it is idle.
//!
//! A store that is out changes nothing about what is known: the batch is written again until the lease is lost. A write that comes too
//! late changes nothing in the ledger either: it is dropped here and counted.

use crate::close;
use crate::hand::{Entry, Phase};
use crate::incarnation::Incarnation;
use crate::{render, trace};
use domain::ids::WorkerId;
use domain::lease::Held;
use domain::ports::work::{Accepted, Applied, PutBack, Settlement};
use domain::ports::{StoreError, Work};
use domain::tier::Tier;
use domain::token::LeaseOutcome;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc::Receiver;

const BATCH_MOST: usize = 256;
const WRITE_LIMIT: Duration = Duration::from_secs(10);
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LONGEST: Duration = Duration::from_secs(2);

/// One change, with what the upstream made of the token where the lease ends with it.
pub(crate) enum Write {
    Rendering(Accepted),
    PutBack(PutBack, LeaseOutcome),
    Settle(Settlement, LeaseOutcome),
    Closed(Held, LeaseOutcome),
}

impl Incarnation {
    /// Waits while the writer's queue is full; drops it when the lease is lost.
    pub(crate) async fn write(&self, write: Write) {
        tokio::select! {
            biased;
            () = self.signals.lost.cancelled() => {}
            _closed_when_lost = self.writes.send(write) => {}
        }
    }

    /// It is over here: out of the hand, its lease back to the pool.
    pub(crate) fn over(&self, held: Held, outcome: LeaseOutcome) -> Option<Entry> {
        let entry = self.hand.remove(held)?;
        if !entry.reported {
            self.release(entry.lease.lease_id, outcome);
        }
        if let Some(spare) = entry.spare {
            self.release(spare.lease_id, LeaseOutcome::Abandoned);
        }
        Some(entry)
    }
}

#[derive(Default)]
struct Batch {
    rendering: Vec<Accepted>,
    put_back: Vec<PutBack>,
    put_back_outcomes: Vec<LeaseOutcome>,
    settle: Vec<Settlement>,
    settle_outcomes: Vec<LeaseOutcome>,
    closed: Vec<Held>,
    closed_outcomes: Vec<LeaseOutcome>,
}

impl Batch {
    fn add(&mut self, write: Write) {
        match write {
            Write::Rendering(accepted) => self.rendering.push(accepted),
            Write::PutBack(item, outcome) => {
                self.put_back.push(item);
                self.put_back_outcomes.push(outcome);
            }
            Write::Settle(item, outcome) => {
                self.settle.push(item);
                self.settle_outcomes.push(outcome);
            }
            Write::Closed(held, outcome) => self.close(held, outcome),
        }
    }

    fn close(&mut self, held: Held, outcome: LeaseOutcome) {
        self.closed.push(held);
        self.closed_outcomes.push(outcome);
    }
}

pub(crate) async fn run(inc: Arc<Incarnation>, mut queue: Receiver<Write>) {
    let mut gathered = Vec::with_capacity(BATCH_MOST);
    loop {
        tokio::select! {
            biased;
            () = inc.signals.lost.cancelled() => return,
            _count = queue.recv_many(&mut gathered, BATCH_MOST) => {}
            () = inc.signals.flush.cancelled() => return,
        }
        let mut batch = Batch::default();
        gathered.drain(..).for_each(|write| batch.add(write));
        tokio::select! {
            biased;
            () = inc.signals.lost.cancelled() => return,
            () = write(&inc, batch) => {}
        }
    }
}

async fn write(inc: &Arc<Incarnation>, mut batch: Batch) {
    let rendering = persist(inc, &batch.rendering).await;
    for (item, applied) in batch.rendering.iter().zip(rendering) {
        began_rendering(inc, item.held, applied, &mut batch.closed, &mut batch.closed_outcomes);
    }
    let begun = SystemTime::now();
    let put_back = persist(inc, &batch.put_back).await;
    for item in &batch.put_back {
        let said = item.error.clone().map(|error| KeyValue::new("error", error));
        tell("put_back", inc, item.held, begun, said, item.error.is_some());
    }
    let outcomes = std::mem::take(&mut batch.put_back_outcomes);
    for ((held, outcome), applied) in batch.put_back.iter().map(|item| item.held).zip(outcomes).zip(put_back) {
        if !ended(inc, held, outcome, applied) {
            batch.closed.push(held);
            batch.closed_outcomes.push(outcome);
        }
    }
    let begun = SystemTime::now();
    let settled = persist(inc, &batch.settle).await;
    for item in &batch.settle {
        let error = item.outcome.as_ref().err().map(|error| KeyValue::new("error", error.code.name()));
        tell("settle", inc, item.held, begun, error, item.outcome.is_err());
    }
    let outcomes = std::mem::take(&mut batch.settle_outcomes);
    for ((item, outcome), applied) in batch.settle.iter().zip(outcomes).zip(settled) {
        if matches!(applied, Written::Applied(Applied::Applied(_))) {
            let outcome = if item.outcome.is_ok() { "succeeded" } else { "failed" };
            say_so(inc, item);
            let tier = inc.hand.with(item.held, |entry| entry.tier);
            inc.metrics.finished.with_label_values(&[tier.map_or("unknown", Tier::name), outcome]).inc();
        }
        if !ended(inc, item.held, outcome, applied) {
            // It ended upstream as well: there is nobody left to tell.
            batch.closed.push(item.held);
            batch.closed_outcomes.push(outcome);
        }
    }
    let closed = persist(inc, &batch.closed).await;
    for ((held, outcome), _written) in batch.closed.iter().zip(batch.closed_outcomes).zip(closed) {
        inc.over(*held, outcome);
    }
}

/// One line an end: of what failed always, of what succeeded where somebody wants to know everything.
fn say_so(inc: &Incarnation, item: &Settlement) {
    let held = item.held;
    let Some((account, trace)) = inc.hand.with(held, |entry| (entry.account_id, trace::id(&entry.trace))) else {
        return;
    };
    match &item.outcome {
        Ok(_) => {
            tracing::debug!(generation_id = %held.id, account_id = %account, trace_id = trace, "succeeded");
        }
        Err(error) => {
            let code = error.code.name();
            tracing::info!(generation_id = %held.id, account_id = %account, trace_id = trace, code, "failed");
        }
    }
}

/// A write, in the trace of each that it was about.
fn tell(name: &'static str, inc: &Incarnation, held: Held, begun: SystemTime, said: Option<KeyValue>, failed: bool) {
    let said = said.into_iter().collect();
    trace::tell(name, SpanKind::Internal, &inc.hand.trace(held), (begun, SystemTime::now()), said, failed);
}

fn began_rendering(
    inc: &Arc<Incarnation>,
    held: Held,
    applied: Written,
    closed: &mut Vec<Held>,
    closed_outcomes: &mut Vec<LeaseOutcome>,
) {
    let (version, canceled) = match applied {
        Written::Applied(Applied::Applied(change)) => {
            inc.tell(change);
            (Some(change.version), false)
        }
        Written::Applied(Applied::Closing) => (None, true),
        Written::Applied(Applied::Stale) | Written::Impossible => {
            stale(inc, held, applied);
            return;
        }
        Written::StaleAfterDoubt => {
            // Its first try was committed after all: what matters is whether it is still ours, and the next comparison knows.
            inc.doubt.store(true, Ordering::Relaxed);
            (None, false)
        }
    };
    let next = inc.hand.with(held, |entry| {
        entry.version = version.unwrap_or(entry.version);
        let spare = entry.spare.take();
        if canceled || entry.closing {
            close::start(entry, held.id);
            (spare, Duration::ZERO, entry.upstream_id.is_none(), None)
        } else {
            entry.phase = Phase::Rendering;
            // Where the first look may be some seconds off, whoever listens hears that it has begun.
            let progress = entry.estimate.map(|_| 0.0);
            // The upstream has called back already.
            let pause = if std::mem::take(&mut entry.again) {
                entry.called_back = Some(Instant::now() + render::SOON);
                render::SOON
            } else {
                render::first_pause(inc, entry.estimate)
            };
            (spare, pause, false, progress)
        }
    });
    let Some((spare, pause, nothing_to_tell, progress)) = next else { return };
    render::progressed(inc, held, progress);
    if let Some(spare) = spare {
        inc.release(spare.lease_id, LeaseOutcome::Abandoned);
    }
    if nothing_to_tell {
        closed.push(held);
        closed_outcomes.push(LeaseOutcome::Abandoned);
    } else {
        inc.timer.schedule(&inc.hand, held, pause);
    }
}

/// `false`: it was canceled meanwhile and has to be closed.
fn ended(inc: &Incarnation, held: Held, outcome: LeaseOutcome, applied: Written) -> bool {
    match applied {
        Written::Applied(Applied::Applied(change)) => {
            inc.over(held, outcome);
            inc.tell(change);
        }
        Written::Applied(Applied::Closing) => return false,
        Written::StaleAfterDoubt => {
            inc.over(held, outcome);
        }
        Written::Applied(Applied::Stale) | Written::Impossible => stale(inc, held, applied),
    }
    true
}

fn stale(inc: &Incarnation, held: Held, applied: Written) {
    inc.over(held, LeaseOutcome::Abandoned);
    if matches!(applied, Written::Impossible) {
        tracing::error!(generation_id = %held.id, "the ledger cannot take a write: it is dropped");
    } else {
        inc.metrics.stale_writes.inc();
        tracing::debug!(generation_id = %held.id, "a write came too late and changed nothing");
    }
}

#[derive(Debug, Clone, Copy)]
enum Written {
    Applied(Applied),
    /// Stale in a repetition of a write in doubt: most probably our own doing.
    StaleAfterDoubt,
    /// The ledger holds what cannot be, about this one.
    Impossible,
}

/// One kind of write, as the ledger takes it.
trait Kind: Sized + Sync {
    fn write(
        work: &dyn Work,
        worker: WorkerId,
        items: &[Self],
    ) -> impl Future<Output = Result<Vec<Applied>, StoreError>> + Send;
}

impl Kind for Accepted {
    async fn write(work: &dyn Work, worker: WorkerId, items: &[Self]) -> Result<Vec<Applied>, StoreError> {
        work.rendering(worker, items).await
    }
}

impl Kind for PutBack {
    async fn write(work: &dyn Work, worker: WorkerId, items: &[Self]) -> Result<Vec<Applied>, StoreError> {
        work.put_back(worker, items).await
    }
}

impl Kind for Settlement {
    async fn write(work: &dyn Work, worker: WorkerId, items: &[Self]) -> Result<Vec<Applied>, StoreError> {
        work.settle(worker, items).await
    }
}

/// What was told upstream: there is nothing to find out about each.
impl Kind for Held {
    async fn write(work: &dyn Work, worker: WorkerId, items: &[Self]) -> Result<Vec<Applied>, StoreError> {
        work.closed(worker, items).await.map(|()| vec![Applied::Closing; items.len()])
    }
}

/// Writes until it is written. A batch that cannot be is taken apart, so that one bad item costs no neighbour anything.
async fn persist<T: Kind>(inc: &Incarnation, items: &[T]) -> Vec<Written> {
    if items.is_empty() {
        return Vec::new();
    }
    let mut doubted = false;
    if let Some(written) = insist(inc, items, &mut doubted).await {
        return written;
    }
    let mut apart = Vec::with_capacity(items.len());
    for item in items {
        // A doubt about all of them is one about each; one about this is none about the next.
        let mut doubted = doubted;
        let alone = insist(inc, std::slice::from_ref(item), &mut doubted).await;
        apart.push(alone.and_then(|written| written.first().copied()).unwrap_or(Written::Impossible));
    }
    apart
}

/// `None`: repeating does not help. `doubted`: a try before may have been committed.
async fn insist<T: Kind>(inc: &Incarnation, items: &[T], doubted: &mut bool) -> Option<Vec<Written>> {
    let mut pause = PAUSE_FIRST;
    loop {
        match tokio::time::timeout(WRITE_LIMIT, T::write(&*inc.backends.work, inc.id, items)).await {
            Ok(Ok(applied)) if applied.len() == items.len() => {
                let read = |applied| match applied {
                    Applied::Stale if *doubted => Written::StaleAfterDoubt,
                    applied => Written::Applied(applied),
                };
                return Some(applied.into_iter().map(read).collect());
            }
            Ok(Ok(_) | Err(StoreError::Corrupt(_))) => return None,
            Ok(Err(StoreError::Unavailable(reason))) => tracing::warn!(reason, "a write waits for the ledger"),
            Ok(Err(StoreError::InDoubt(reason))) => {
                *doubted = true;
                tracing::warn!(reason, "a write is in doubt and is repeated");
            }
            Err(_) => {
                *doubted = true;
                tracing::warn!("the ledger took too long over a write; it is repeated");
            }
        }
        tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
        pause = (pause * 2).min(PAUSE_LONGEST);
    }
}
