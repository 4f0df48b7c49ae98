//! What this worker hears: rings that say "there is work", and notices about what somebody holds.

use crate::close;
use crate::incarnation::Incarnation;
use crate::render;
use domain::event::Notice;
use domain::ports::doorbell::Heard;
use futures::StreamExt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// A stream should not end; one that does is opened again, not in a tight loop.
const REOPEN: Duration = Duration::from_secs(1);

/// A ring only wakes. A draining worker leaves them to others.
pub(crate) async fn work(inc: Arc<Incarnation>) {
    let listening = async {
        loop {
            let mut rings = inc.backends.doorbell.work();
            while let Some(heard) = rings.next().await {
                let outcome = match heard {
                    Heard::Rang(trace) => {
                        let mut ring = inc.ring.lock().unwrap_or_else(PoisonError::into_inner);
                        *ring = trace.or(ring.take());
                        "rang"
                    }
                    Heard::Missed => "missed",
                };
                inc.metrics.rings.with_label_values(&["heard", outcome]).inc();
                inc.rung.notify_one();
            }
            tokio::time::sleep(REOPEN).await;
        }
    };
    tokio::select! {
        () = inc.signals.draining.cancelled() => {}
        () = inc.signals.lost.cancelled() => {}
        () = listening => {}
    }
}

pub(crate) async fn notices(inc: Arc<Incarnation>) {
    let listening = async {
        loop {
            let mut notices = inc.backends.doorbell.notices();
            while let Some(heard) = notices.next().await {
                // What was missed comes with the next renewal (cancels) or the next poll (callbacks).
                let Heard::Rang(notices) = heard else { continue };
                for notice in notices {
                    match notice {
                        Notice::Closing(id) => close::asked(&inc, id, None),
                        Notice::CalledBack(id) => render::called_back(&inc, id),
                    }
                }
            }
            tokio::time::sleep(REOPEN).await;
        }
    };
    tokio::select! {
        () = inc.signals.quiet.cancelled() => {}
        () = inc.signals.lost.cancelled() => {}
        () = listening => {}
    }
}
