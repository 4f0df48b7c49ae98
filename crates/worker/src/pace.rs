//! The start budget: how many submissions a second this replica starts, smoothly.
//!
//! A cell-rate limiter (GCRA) with next to no burst. Timers fire late, and with a burst of one every late start would be lost for good:
//! so two cells may be made up for (more where a cell is shorter than a timer's tick), and the rate gives way by as much. A limit of 100
//! then means 99 a second when saturated, and never more than 101 within any second.

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};

/// What is claimed may wait this much of a second for its start; more would sit in a worker instead of in the ledger.
const AHEAD: u32 = 4;

pub(crate) struct Pace {
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
    /// Waiters stand in line: only the first one sleeps for the next cell.
    line: Mutex<()>,
    waiting: AtomicUsize,
    waiting_most: usize,
    freed: Arc<Notify>,
}

/// A claimed submission that has not started yet.
pub(crate) struct Waiting(Arc<Pace>);

fn quota(per_second: u32) -> Quota {
    let limit = f64::from(per_second.max(1));
    let burst = if per_second < 10 { 1 } else { (per_second / 50).max(2) };
    let rate = if burst == 1 { limit } else { (limit - f64::from(burst - 1)).max(limit * 0.98) };
    let cell = Duration::from_secs_f64(1.0 / rate).max(Duration::from_nanos(1));
    Quota::with_period(cell)
        .unwrap_or(Quota::per_second(NonZeroU32::MIN))
        .allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN))
}

impl Pace {
    pub(crate) fn new(per_second: u32, freed: Arc<Notify>) -> Self {
        Self {
            limiter: RateLimiter::direct(quota(per_second)),
            clock: DefaultClock::default(),
            line: Mutex::new(()),
            waiting: AtomicUsize::new(0),
            waiting_most: (per_second / AHEAD).max(1) as usize,
            freed,
        }
    }

    /// How many more may be claimed without idling long.
    pub(crate) fn room(&self) -> usize {
        self.waiting_most.saturating_sub(self.waiting.load(Ordering::Relaxed))
    }

    pub(crate) fn waiting_most(&self) -> usize {
        self.waiting_most
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self.clone())
    }

    /// Waits for the next cell and takes it; `false` where `may` says that there is no more to wait for.
    async fn cell<F: Future<Output = bool>>(&self, may: impl Fn() -> F) -> bool {
        let _first = self.line.lock().await;
        while may().await {
            match self.limiter.check() {
                Ok(()) => return true,
                Err(not_until) => tokio::time::sleep(not_until.wait_time_from(self.clock.now())).await,
            }
        }
        false
    }
}

impl Waiting {
    /// Waits in line for a start, and starts. What is started has to follow at once, or several would go together: so whoever stands first
    /// waits until it `may`, and only then takes the start. Given up (dropped) before that, it costs none.
    pub(crate) async fn start<F: Future<Output = bool>>(self, may: impl Fn() -> F) -> bool {
        self.0.cell(may).await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::future::ready;

    /// The most starts within any window of a second, and all within the time watched, for a limiter that is always asked.
    fn saturated(per_second: u32) -> (usize, f64) {
        let clock = governor::clock::FakeRelativeClock::default();
        let limiter = RateLimiter::direct_with_clock(quota(per_second), clock.clone());
        let (mut starts, watched) = (Vec::new(), 10_000_000_u64);
        let mut at = 0;
        while at < watched {
            if limiter.check().is_ok() {
                starts.push(at);
            }
            clock.advance(Duration::from_micros(100));
            at += 100;
        }
        let most =
            starts.iter().map(|begin| starts.iter().filter(|s| (*begin..begin + 1_000_000).contains(*s)).count());
        (most.max().unwrap_or(0), starts.len() as f64 / 10.0)
    }

    #[test]
    fn saturated_it_keeps_within_the_limit_and_wastes_little() {
        for (limit, most) in [(1, 1), (9, 9), (10, 11), (50, 51), (100, 101), (400, 401)] {
            let (peak, average) = saturated(limit);
            assert!(peak <= most, "{limit}: {peak} within a second");
            assert!(average >= f64::from(limit) * 0.97, "{limit}: {average} a second");
        }
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_costs_no_start() {
        let pace = Arc::new(Pace::new(1, Arc::new(Notify::new())));
        assert!(pace.enter().start(|| ready(true)).await);
        let waiting = pace.enter();
        assert_eq!(pace.room(), 0);
        assert!(waiting.start(|| ready(true)).now_or_never().is_none());
        assert_eq!(pace.room(), 1);
        assert!(!pace.enter().start(|| ready(false)).await);
    }
}
