//! The renewal: one row, whatever the worker holds, on a task of its own; and what this worker believes about its lease.

use crate::close;
use crate::incarnation::Incarnation;
use domain::lease::LeaseWatch;
use domain::ports::work::{Load, Renewal};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Whether this worker may still call the upstream.
pub(crate) struct Standing {
    watch: Mutex<LeaseWatch>,
    renewed: Notify,
}

impl Standing {
    pub(crate) fn new(lease: Duration, sent: Instant) -> Self {
        Self { watch: Mutex::new(LeaseWatch::new(lease, sent)), renewed: Notify::new() }
    }

    fn watch(&self) -> MutexGuard<'_, LeaseWatch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self, sent: Instant) {
        self.watch().renewed(sent);
        self.renewed.notify_waiters();
    }

    pub(crate) fn may_bury(&self) -> bool {
        self.watch().may_bury(Instant::now())
    }

    /// True at once, or after the next renewal; false when the lease is lost.
    pub(crate) async fn stands(&self, lost: &CancellationToken) -> bool {
        loop {
            let renewed = self.renewed.notified();
            if lost.is_cancelled() {
                return false;
            }
            if self.watch().may_start(Instant::now()) {
                return true;
            }
            tokio::select! {
                () = lost.cancelled() => return false,
                () = renewed => {}
            }
        }
    }
}

impl Incarnation {
    fn load(&self) -> Load {
        let held = self.hand.counts();
        Load {
            active: u32::try_from(held.active).unwrap_or(u32::MAX),
            rendering: u32::try_from(held.rendering).unwrap_or(u32::MAX),
            draining: self.signals.draining.is_cancelled(),
            cpu: (self.cpu)(),
        }
    }
}

pub(crate) async fn run(inc: Arc<Incarnation>) {
    let every = inc.settings.lease / 3;
    let again = (every / 5).clamp(Duration::from_millis(100), Duration::from_secs(1));
    // Several tries fit into what is left of a lease.
    let limit = (every / 2).max(Duration::from_millis(500));
    let mut pause = every;
    loop {
        tokio::select! {
            () = inc.signals.lost.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let sent = Instant::now();
        let renewal = inc.backends.work.renew(inc.id, inc.settings.lease, inc.load());
        let renewal = tokio::select! {
            () = inc.signals.lost.cancelled() => return,
            renewal = tokio::time::timeout(limit, renewal) => renewal,
        };
        pause = again;
        match renewal {
            Ok(Ok(Renewal::Renewed { drain, closing })) => {
                inc.standing.renew(sent);
                if drain {
                    inc.signals.asked_to_drain.cancel();
                }
                for held in closing {
                    close::asked(&inc, held.id, Some(held.fence));
                }
                pause = every;
            }
            Ok(Ok(Renewal::Lost)) => {
                inc.signals.lost.cancel();
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the lease was not renewed; trying again"),
            Err(_) => tracing::warn!("the lease was not renewed in time; trying again"),
        }
    }
}
