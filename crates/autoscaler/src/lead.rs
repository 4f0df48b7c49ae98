//! This replica's own view of its leadership: monotonic, and pessimistic by the lease's margin.

use domain::ids::WorkerId;
use domain::lease::LeaseWatch;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) struct Lead {
    pub(crate) replica: WorkerId,
    pub(crate) lease: Duration,
    watch: Mutex<Option<LeaseWatch>>,
}

impl Lead {
    pub(crate) const fn new(replica: WorkerId, lease: Duration) -> Self {
        Self { replica, lease, watch: Mutex::new(None) }
    }

    fn watch(&self) -> MutexGuard<'_, Option<LeaseWatch>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `sent`: the moment before the renewal was sent. Answers whether it had not led before.
    pub(crate) fn won(&self, sent: Instant) -> bool {
        self.watch().replace(LeaseWatch::new(self.lease, sent)).is_none()
    }

    /// Answers whether it had led.
    pub(crate) fn lost(&self) -> bool {
        self.watch().take().is_some()
    }

    /// Whether something may be changed now.
    pub(crate) fn stands(&self) -> bool {
        self.watch().is_some_and(|watch| watch.may_start(Instant::now()))
    }
}
