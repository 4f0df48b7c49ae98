//! Rings out: one publish in flight, and what arrives meanwhile shares the next. Nobody waits for it. In a flood the next ring to workers
//! rests a little: they are awake, and each ring costs the broker as much as several acceptances cost the ledger.
//!
//! A ring that fails is logged and counted; the workers' unrung claims and the gateways' re-reads find what it spoke of.

use crate::metrics::Metrics;
use crate::trace::{self, Trace};
use domain::event::{Change, Notice};
use domain::ports::Doorbell;
use domain::ports::doorbell::DoorbellError;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The most changes or notices in one ring.
const RING_MOST: usize = 500;
/// Beyond it the oldest are dropped: whoever listens re-reads within seconds anyway.
const PENDING_MOST: usize = 10_000;
const SENT_WITHIN: Duration = Duration::from_secs(5);
/// The more a ring to workers stood for, the longer the next one rests: so long for each, and no longer than that. What is less than a timer's
/// tick is no rest: below a few hundred acceptances a second every ring goes out at once.
const REST_EACH: Duration = Duration::from_micros(250);
const REST_LONGEST: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_millis(1);

/// There is work.
#[derive(Default)]
struct Work {
    /// How much.
    count: u32,
    /// Whose trace the ring belongs to: of all that share it the first.
    trace: Option<String>,
}

impl Work {
    fn rest(&self) -> Duration {
        let rest = REST_EACH.saturating_mul(self.count).min(REST_LONGEST);
        if rest < TICK { Duration::ZERO } else { rest }
    }
}

#[derive(Default)]
struct Pending {
    work: Option<Work>,
    changes: VecDeque<Change>,
    notices: VecDeque<Notice>,
}

pub(crate) struct Ringer {
    pending: Mutex<Pending>,
    wake: Notify,
    metrics: Arc<Metrics>,
}

impl Ringer {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { pending: Mutex::default(), wake: Notify::new(), metrics }
    }

    fn add(&self, add: impl FnOnce(&mut Pending)) {
        add(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    /// `count`: how much came together.
    pub(crate) fn work(&self, count: usize, trace: Option<String>) {
        self.add(|pending| {
            let work = pending.work.get_or_insert_default();
            work.count = work.count.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
            work.trace = work.trace.take().or(trace);
        });
    }

    pub(crate) fn changed(&self, change: Change) {
        self.add(|pending| push(&mut pending.changes, change));
    }

    pub(crate) fn notice(&self, notice: Notice) {
        self.add(|pending| push(&mut pending.notices, notice));
    }

    /// What is to be sent, and whether there is work that rests.
    fn take(&self, rested: bool) -> (Pending, bool) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = pending.changes.len().min(RING_MOST);
        let notices = pending.notices.len().min(RING_MOST);
        let taken = Pending {
            work: if rested { pending.work.take() } else { None },
            changes: pending.changes.drain(..changes).collect(),
            notices: pending.notices.drain(..notices).collect(),
        };
        (taken, pending.work.is_some())
    }

    /// Rings until it is told to stop; what is pending then goes out first.
    pub(crate) async fn run(self: Arc<Self>, doorbell: Arc<dyn Doorbell>, stop: CancellationToken) {
        let mut rested = Instant::now();
        loop {
            let stopping = stop.is_cancelled();
            let (Pending { work, changes, notices }, rests) = self.take(stopping || Instant::now() >= rested);
            if work.is_none() && changes.is_empty() && notices.is_empty() {
                if stopping {
                    return;
                }
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = sleep_until(rested), if rests => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
            if let Some(work) = work {
                rested = Instant::now() + work.rest();
                self.ring_workers(doorbell.as_ref(), work.trace).await;
            }
            if !notices.is_empty() {
                let notices = Vec::from(notices);
                self.sent("notices", timeout(SENT_WITHIN, doorbell.notify_workers(&notices)).await);
            }
            if !changes.is_empty() {
                let changes = Vec::from(changes);
                self.sent("to_gateways", timeout(SENT_WITHIN, doorbell.ring_gateways(&changes)).await);
            }
        }
    }

    /// The ring is a span of the trace that it is rung for, and tells the worker so.
    async fn ring_workers(&self, doorbell: &dyn Doorbell, trace: Option<String>) {
        let id = trace.as_deref().and_then(|trace| trace.split('-').nth(1));
        let span = tracing::info_span!("ring", otel.kind = "producer", trace_id = id);
        if let Some(trace) = &trace {
            // It fails only where no tracer is installed, and then there is no span to be a child.
            let _ = span.set_parent(trace::context(trace));
        }
        let carried = trace::of(&span).map(Trace::into_text).or(trace);
        let ringing = timeout(SENT_WITHIN, doorbell.ring_workers(carried.as_deref())).instrument(span.clone()).await;
        let _within = span.enter();
        self.sent("to_workers", ringing);
    }

    fn sent(&self, direction: &str, result: Result<Result<(), DoorbellError>, tokio::time::error::Elapsed>) {
        let failed = match result {
            Ok(Ok(())) => return self.metrics.rang(direction, "sent"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the doorbell did not answer in time".to_owned(),
        };
        self.metrics.rang(direction, "failed");
        tracing::warn!(error = failed, "a ring was not sent");
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() >= PENDING_MOST {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ports::doorbell::Heard;
    use embedded::channels::Channels;
    use futures::StreamExt;
    use prometheus::Registry;

    #[tokio::test(start_paused = true)]
    async fn few_ring_at_once_a_flood_rests_and_a_stop_leaves_nothing_behind() {
        let (doorbell, stop) = (Channels::new(), CancellationToken::new());
        let ringer = Arc::new(Ringer::new(Arc::new(Metrics::new(&Registry::new()).unwrap())));
        let running = ringer.clone().run(doorbell.clone(), stop.clone());
        let (mut rings, begun) = (doorbell.work(), Instant::now());
        assert_eq!(rings.next().await, Some(Heard::Missed));
        // The clock stands while anything is to be done: what rests is all that moves it.
        let mut heard_at = async || {
            assert!(matches!(rings.next().await, Some(Heard::Rang(_))));
            begun.elapsed()
        };

        let story = async {
            for _ in 0..3 {
                ringer.work(3, None);
                assert_eq!(heard_at().await, Duration::ZERO);
            }
            ringer.work(1_000, None);
            assert_eq!(heard_at().await, Duration::ZERO, "the first of a flood wakes them");
            ringer.work(1, None);
            ringer.work(1_000, None);
            let second = heard_at().await;
            assert!((REST_LONGEST..=REST_LONGEST + 2 * TICK).contains(&second), "{second:?}");
            ringer.work(1, None);
            stop.cancel();
            assert_eq!(heard_at().await, second, "what rests goes out at a stop");
        };
        tokio::join!(running, story);
    }
}
