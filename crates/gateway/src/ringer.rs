//! Rings out: one publish in flight, and what arrives meanwhile shares the next. Nobody waits for it.
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
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The most changes or notices in one ring.
const RING_MOST: usize = 500;
/// Beyond it the oldest are dropped: whoever listens re-reads within seconds anyway.
const PENDING_MOST: usize = 10_000;
const SENT_WITHIN: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Pending {
    /// There is work; and whose trace the ring belongs to, of all that share it the first.
    work: Option<Option<String>>,
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

    pub(crate) fn work(&self, trace: Option<String>) {
        self.add(|pending| pending.work = Some(pending.work.take().flatten().or(trace)));
    }

    pub(crate) fn changed(&self, change: Change) {
        self.add(|pending| push(&mut pending.changes, change));
    }

    pub(crate) fn notice(&self, notice: Notice) {
        self.add(|pending| push(&mut pending.notices, notice));
    }

    fn take(&self) -> Pending {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = pending.changes.len().min(RING_MOST);
        let notices = pending.notices.len().min(RING_MOST);
        Pending {
            work: std::mem::take(&mut pending.work),
            changes: pending.changes.drain(..changes).collect(),
            notices: pending.notices.drain(..notices).collect(),
        }
    }

    /// Rings until it is told to stop; what is pending then goes out first.
    pub(crate) async fn run(self: Arc<Self>, doorbell: Arc<dyn Doorbell>, stop: CancellationToken) {
        loop {
            let Pending { work, changes, notices } = self.take();
            if work.is_none() && changes.is_empty() && notices.is_empty() {
                tokio::select! {
                    () = self.wake.notified() => continue,
                    () = stop.cancelled() => return,
                }
            }
            if let Some(trace) = work {
                self.ring_workers(doorbell.as_ref(), trace).await;
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
