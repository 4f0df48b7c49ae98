//! A token's requests per minute: a governor limiter on the book's own time.
//!
//! It paces starts (grants), not polls, and never lets more than the limit pass in any 60 seconds: a tenth of it at once, the rest
//! spread evenly.

use domain::Timestamp;
use governor::clock::{Clock, FakeRelativeClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::time::Duration;

type Limiter = RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<governor::nanos::Nanos>>;

pub(crate) struct Pace {
    limiter: Limiter,
    clock: FakeRelativeClock,
    /// What the limiter's clock stands for.
    at: Timestamp,
}

impl Pace {
    pub(crate) fn new(per_minute: u32, now: Timestamp) -> Self {
        let limit = per_minute.max(1);
        let burst = (limit / 10).max(1);
        // Within 60 seconds pass the burst and one for each whole period less than a minute: the limit exactly.
        let period = Duration::from_secs(60) / (limit - burst + 1);
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(period).unwrap_or_else(|| Quota::per_minute(NonZeroU32::MIN)).allow_burst(burst);
        let clock = FakeRelativeClock::default();
        Self { limiter: RateLimiter::direct_with_clock(quota, clock.clone()), clock, at: now }
    }

    /// One start now, or how long until one may.
    pub(crate) fn start(&mut self, now: Timestamp) -> Result<(), Duration> {
        if let Ok(passed) = (now - self.at).to_std() {
            self.clock.advance(passed);
            self.at = now;
        }
        self.limiter.check().map_err(|until| until.wait_time_from(self.clock.now()).max(Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_the_limit_in_any_minute(limit in 1u32..200, steps in proptest::collection::vec(0u64..4_000, 1..400)) {
            let mut now = Timestamp::UNIX_EPOCH;
            let mut pace = Pace::new(limit, now);
            let mut starts: Vec<Timestamp> = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                while pace.start(now).is_ok() {
                    starts.push(now);
                }
            }
            for (index, first) in starts.iter().enumerate() {
                let within = starts[index..].iter().take_while(|at| **at - *first < chrono::TimeDelta::seconds(60)).count();
                prop_assert!(within <= limit as usize, "{within} of {limit}");
            }
        }
    }

    #[test]
    fn the_wait_it_names_is_enough() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut pace = Pace::new(6, now);
        assert_eq!(pace.start(now), Ok(()));
        for _ in 0..20 {
            let wait = pace.start(now).unwrap_err();
            now += wait;
            assert_eq!(pace.start(now), Ok(()));
        }
        assert!(now - Timestamp::UNIX_EPOCH >= chrono::TimeDelta::seconds(195));
    }
}
