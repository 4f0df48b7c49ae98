//! Exact rate limits: a sliding window over the accepted moments of the last 60 seconds.
//!
//! Within *any* 60 seconds an account passes at most its limit, which no counter per fixed window can promise. The rule is here once; the
//! in-process limiter runs it, the Redis script says the same in Lua, and one conformance suite holds both to it.

use std::collections::VecDeque;
use std::time::Duration;

pub const WINDOW: Duration = Duration::from_secs(60);

/// What a check answers, and what the standard headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateDecision {
    pub allowed: bool,
    pub limit: u32,
    /// How many more pass right now.
    pub remaining: u32,
    /// Until one more passes than now; zero when the window is empty.
    pub reset_after: Duration,
    /// Zero when allowed; else a request after this, with none in between, is accepted.
    pub retry_after: Duration,
}

/// The accepted moments of one account, in microseconds of one clock that never goes back.
#[derive(Debug, Clone, Default)]
pub struct SlidingWindow {
    accepted: VecDeque<u64>,
}

impl SlidingWindow {
    /// Asks for one more request at `now` (microseconds). A refused one leaves no trace.
    pub fn check(&mut self, now: u64, limit: u32) -> RateDecision {
        let window = u64::try_from(WINDOW.as_micros()).unwrap_or(u64::MAX);
        while self.accepted.front().is_some_and(|at| at.saturating_add(window) <= now) {
            self.accepted.pop_front();
        }
        let used = self.accepted.len();
        let allowed = used < limit as usize;
        if allowed {
            self.accepted.push_back(now);
        }
        let until = |at: u64| Duration::from_micros((at + window).saturating_sub(now));
        // A limit that was lowered leaves more in the window than it allows: the one whose leaving makes room counts.
        let frees =
            if allowed || limit == 0 { self.accepted.front() } else { self.accepted.get(used - limit as usize) };
        let reset_after = if limit == 0 { WINDOW } else { frees.map_or(Duration::ZERO, |at| until(*at)) };
        RateDecision {
            allowed,
            limit,
            remaining: limit.saturating_sub(u32::try_from(self.accepted.len()).unwrap_or(u32::MAX)),
            reset_after,
            retry_after: if allowed { Duration::ZERO } else { reset_after },
        }
    }

    /// Nothing of the last window is left: the entry can be forgotten.
    pub fn is_idle(&self, now: u64) -> bool {
        let window = u64::try_from(WINDOW.as_micros()).unwrap_or(u64::MAX);
        self.accepted.back().is_none_or(|at| at.saturating_add(window) <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// No 60 seconds ever hold more than the limit, and whoever waits as told is accepted.
        #[test]
        fn the_bound_holds_in_every_window(gaps in proptest::collection::vec(0u64..20_000_000, 1..300), limit in 1u32..12) {
            let mut window = SlidingWindow::default();
            let (mut now, mut passed) = (1_000_000u64, Vec::new());
            for gap in gaps {
                now += gap;
                let mut told = window.clone();
                let decision = window.check(now, limit);
                if decision.allowed {
                    passed.push(now);
                } else {
                    told.check(now, limit);
                    let wait = u64::try_from(decision.retry_after.as_micros()).unwrap();
                    prop_assert!(told.clone().check(now + wait, limit).allowed);
                    prop_assert!(wait == 0 || !told.check(now + wait - 1, limit).allowed);
                }
            }
            for (index, start) in passed.iter().enumerate() {
                let within = passed[index..].iter().take_while(|at| **at < start + 60_000_000).count();
                prop_assert!(within <= limit as usize);
            }
        }
    }
}
