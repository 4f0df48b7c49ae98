//! Leases: what survives a crash is a row with an expiry, judged by the ledger's clock, and a fence that only grows.

use crate::ids::{GenerationId, LeaseId, TokenId};
use std::time::{Duration, Instant};

/// How many times a generation has changed hands. A write with an old one changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub i64);

/// A claim on one generation: what every write of a worker is compared with, besides its own id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    pub id: GenerationId,
    pub fence: Fence,
}

/// One use of one token, as the work row names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseRef {
    pub lease_id: LeaseId,
    pub token_id: TokenId,
}

/// A worker's own view of its lease: monotonic, and pessimistic by a margin.
///
/// An upstream call may start only while the time since *before* the last successful renewal was sent is under the lease less the
/// margin, so a worker that was paused and wakes calls nobody (Kleppmann, "How to do distributed locking", 2016).
#[derive(Debug, Clone, Copy)]
pub struct LeaseWatch {
    lease: Duration,
    renewed: Instant,
    /// The first renewal of a row without a gap: since then this worker has surely been in touch with the ledger.
    touch: Instant,
}

impl LeaseWatch {
    /// `sent`: the moment just before the renewal that succeeded was sent.
    pub const fn new(lease: Duration, sent: Instant) -> Self {
        Self { lease, renewed: sent, touch: sent }
    }

    pub fn renewed(&mut self, sent: Instant) {
        if self.gap(sent) {
            self.touch = sent;
        }
        self.renewed = self.renewed.max(sent);
    }

    /// A renewal a third of a lease is usual; with none for half of one, the ledger or this worker was away.
    fn gap(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.renewed) > self.lease / 2
    }

    /// A sixth of the lease is kept for the call to reach the upstream and for clocks that drift.
    pub fn may_start(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.renewed) < self.lease - self.lease / 6
    }

    /// Whether this worker may find others dead. After an outage of the ledger every lease has run out, and everybody is about to renew: so
    /// whoever was out of touch waits for one renewal's time first. A worker that has just begun does so, too.
    pub fn may_bury(&self, now: Instant) -> bool {
        !self.gap(now) && now.saturating_duration_since(self.touch) >= self.lease / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_worker_starts_nothing() {
        let begin = Instant::now();
        let mut watch = LeaseWatch::new(Duration::from_secs(30), begin);
        assert!(watch.may_start(begin + Duration::from_secs(24)));
        assert!(!watch.may_start(begin + Duration::from_secs(25)));
        watch.renewed(begin + Duration::from_secs(10));
        assert!(watch.may_start(begin + Duration::from_secs(34)));
    }

    #[test]
    fn whoever_was_out_of_touch_buries_nobody_at_first() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut watch = LeaseWatch::new(Duration::from_secs(30), begin);
        assert!(!watch.may_bury(at(9)));
        watch.renewed(at(10));
        watch.renewed(at(20));
        assert!(watch.may_bury(at(10)) && watch.may_bury(at(35)));
        assert!(!watch.may_bury(at(36)), "no renewal for more than half a lease");
        watch.renewed(at(60));
        assert!(!watch.may_bury(at(69)) && watch.may_bury(at(70)));
    }
}
