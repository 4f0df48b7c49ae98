//! Leave to count places for plain reads: few at once, and in the long run a twentieth of the time. However many poll, and however much waits
//! before them, the ledger is asked for no more than that; the others go without a place.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

const AT_ONCE: usize = 4;
/// Of the time, in the long run.
const PART: u32 = 20;
/// Counting beyond that part, before others go without.
const AHEAD_MOST: Duration = Duration::from_secs(1);

pub(crate) struct Counting {
    at_once: Semaphore,
    spent: Mutex<Spent>,
}

/// Counting that was not yet made good by time that passed.
struct Spent {
    ahead: Duration,
    as_of: Instant,
}

impl Default for Counting {
    fn default() -> Self {
        let spent = Spent { ahead: Duration::ZERO, as_of: Instant::now() };
        Self { at_once: Semaphore::new(AT_ONCE), spent: Mutex::new(spent) }
    }
}

/// One count under way; it is over when this is dropped.
pub(crate) struct Count<'a> {
    counting: &'a Counting,
    began: Instant,
    _one: SemaphorePermit<'a>,
}

impl Counting {
    /// `None` where enough is being counted, or was.
    pub(crate) fn begin(&self) -> Option<Count<'_>> {
        let one = self.at_once.try_acquire().ok()?;
        let began = Instant::now();
        (self.ahead(began, Duration::ZERO) < AHEAD_MOST).then(|| Count { counting: self, began, _one: one })
    }

    fn ahead(&self, now: Instant, more: Duration) -> Duration {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let made_good = now.saturating_duration_since(spent.as_of) / PART;
        *spent = Spent { ahead: spent.ahead.saturating_sub(made_good) + more, as_of: now.max(spent.as_of) };
        spent.ahead
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.counting.ahead(now, now.saturating_duration_since(self.began));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_count_at_once() {
        let counting = Counting::default();
        let counts: Vec<_> = std::iter::from_fn(|| counting.begin()).take(100).collect();
        assert_eq!(counts.len(), AT_ONCE);
        drop(counts);
        // However long they were held.
        counting.ahead(Instant::now() + Duration::from_secs(60), Duration::ZERO);
        assert!(counting.begin().is_some());
    }

    #[test]
    fn a_twentieth_of_the_time_is_spent_counting_and_no_more() {
        let counting = Counting::default();
        let now = Instant::now();
        counting.ahead(now, AHEAD_MOST * 2);
        assert!(counting.begin().is_none());
        // One second too much is made good by twenty.
        let ahead = counting.ahead(now + Duration::from_secs(20), Duration::ZERO);
        assert!(ahead.abs_diff(AHEAD_MOST) < Duration::from_millis(500), "{ahead:?}");
        assert_eq!(counting.ahead(now + Duration::from_secs(60), Duration::ZERO), Duration::ZERO);
    }
}
