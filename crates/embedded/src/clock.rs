//! The ledger's clock: the wall's, carried on by the monotonic one, and never back, not over a restart either.
//!
//! It does not decide what is due: every statement is bound a moment that was read from here.

use crate::Ledger;
use crate::stored::moment_or_epoch;
use domain::Timestamp;
use domain::ports::LedgerClock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

pub(crate) struct Clock {
    started: Instant,
    /// Microseconds since 1970 at which this clock started, as the wall says now: it only grows.
    origin: AtomicI64,
}

impl Clock {
    /// `last_seen`: microseconds since 1970 that a former process had reached.
    pub(crate) fn starting_at(last_seen: i64) -> Self {
        Self { started: Instant::now(), origin: AtomicI64::new(last_seen) }
    }

    /// Microseconds since 1970.
    fn micros(&self) -> i64 {
        // The wall first: a pause between the two readings then makes the origin smaller, never greater.
        #[expect(clippy::disallowed_methods, reason = "this is the ledger's clock, the one edge that reads the wall")]
        let wall = chrono::Utc::now().timestamp_micros();
        let elapsed = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        let seen = wall.saturating_sub(elapsed);
        self.origin.fetch_max(seen, Ordering::SeqCst).max(seen).saturating_add(elapsed)
    }

    pub(crate) fn now(&self) -> Timestamp {
        moment_or_epoch(self.micros())
    }
}

impl LedgerClock for Ledger {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_from_where_the_last_process_was_even_when_the_wall_was_turned_back() {
        let ahead = Clock::starting_at(0).micros() + 3_600_000_000;
        let clock = Clock::starting_at(ahead);
        let first = clock.micros();
        assert!(first >= ahead);
        let second = clock.micros();
        assert!(second >= first && second < ahead + 60_000_000);
    }
}
