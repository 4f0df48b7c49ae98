//! The doorbell within one process: a permit that wakes one worker, and bounded broadcasts for changes and notices.
//!
//! Nothing here is kept: what no listener hears is gone, and rings that nobody waits for are one permit, however many they were.
//! The ledger has the truth.

use async_trait::async_trait;
use domain::event::{Change, Notice};
use domain::ports::Doorbell;
use domain::ports::doorbell::{DeadLetter, DoorbellError, Heard, Rings};
use futures::{StreamExt, stream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

/// How many rings a slow listener may be behind before it hears [`Heard::Missed`] instead.
const BEHIND: usize = 256;

pub struct Channels {
    work: Arc<Work>,
    changes: broadcast::Sender<Arc<[Change]>>,
    notices: broadcast::Sender<Arc<[Notice]>>,
}

/// One permit, and the trace of the last ring that made it.
#[derive(Default)]
struct Work {
    permit: Notify,
    trace: Mutex<Option<String>>,
}

impl Work {
    fn trace(&self) -> MutexGuard<'_, Option<String>> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channels {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            work: Arc::default(),
            changes: broadcast::Sender::new(BEHIND),
            notices: broadcast::Sender::new(BEHIND),
        })
    }
}

#[async_trait]
impl Doorbell for Channels {
    async fn ring_workers(&self, trace: Option<&str>) -> Result<(), DoorbellError> {
        if let Some(trace) = trace {
            *self.work.trace() = Some(trace.to_owned());
        }
        self.work.permit.notify_one();
        Ok(())
    }

    async fn ring_gateways(&self, changes: &[Change]) -> Result<(), DoorbellError> {
        ring(&self.changes, changes);
        Ok(())
    }

    async fn notify_workers(&self, notices: &[Notice]) -> Result<(), DoorbellError> {
        ring(&self.notices, notices);
        Ok(())
    }

    fn work(&self) -> Rings<Option<String>> {
        let rings = stream::unfold(Arc::clone(&self.work), |work| async {
            // A permit taken by a listener that is dropped before it heard goes on to the next one.
            work.permit.notified().await;
            let trace = work.trace().take();
            Some((Heard::Rang(trace), work))
        });
        from_now_on(rings)
    }

    fn changes(&self) -> Rings<Vec<Change>> {
        listen(self.changes.subscribe())
    }

    fn notices(&self) -> Rings<Vec<Notice>> {
        listen(self.notices.subscribe())
    }

    // Nobody but this process rings here, so that every ring makes sense and none is laid aside.

    async fn dead(&self) -> Result<u64, DoorbellError> {
        Ok(0)
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, DoorbellError> {
        Ok(Vec::new())
    }

    async fn requeue_dead(&self, _id: Uuid) -> Result<u32, DoorbellError> {
        Ok(0)
    }

    async fn discard_dead(&self, _id: Uuid) -> Result<u32, DoorbellError> {
        Ok(0)
    }
}

fn ring<T: Clone>(sender: &broadcast::Sender<Arc<[T]>>, items: &[T]) {
    if !items.is_empty() && sender.receiver_count() > 0 {
        // The only error is that the last listener has just left.
        let _nobody = sender.send(items.into());
    }
}

fn listen<T: Clone + Send + Sync + 'static>(receiver: broadcast::Receiver<Arc<[T]>>) -> Rings<Vec<T>> {
    let rings = stream::unfold(receiver, |mut receiver| async move {
        let heard = match receiver.recv().await {
            Ok(items) => Heard::Rang(items.to_vec()),
            Err(broadcast::error::RecvError::Lagged(_)) => Heard::Missed,
            // The doorbell itself is gone: nothing will ring again, and rings do not end.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        };
        Some((heard, receiver))
    });
    from_now_on(rings)
}

/// A listener hears first that it may have missed what was before it.
fn from_now_on<T: Send + 'static>(rings: impl stream::Stream<Item = Heard<T>> + Send + 'static) -> Rings<T> {
    stream::iter([Heard::Missed]).chain(rings).boxed()
}
