//! Rings out: one publish in flight, and what arrives meanwhile shares the next. Nobody waits for it.
//!
//! A ring that fails is logged and counted; the workers' unrung claims and the gateways' re-reads find what it spoke of.

use crate::metrics::Metrics;
use domain::event::{Change, Notice};
use domain::ports::Doorbell;
use domain::ports::doorbell::DoorbellError;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The most changes or notices in one ring.
const RING_MOST: usize = 500;
/// Beyond it the oldest are dropped: whoever listens re-reads within seconds anyway.
const PENDING_MOST: usize = 10_000;
const SENT_WITHIN: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Pending {
    work: bool,
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

    pub(crate) fn work(&self) {
        self.add(|pending| pending.work = true);
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
            if !work && changes.is_empty() && notices.is_empty() {
                tokio::select! {
                    () = self.wake.notified() => continue,
                    () = stop.cancelled() => return,
                }
            }
            if work {
                self.sent("to_workers", timeout(SENT_WITHIN, doorbell.ring_workers()).await);
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
