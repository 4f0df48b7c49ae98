//! A breaker: after five failures in a row nobody waits any more for what does not answer.
//!
//! It only counts; who probes, and when it closes, is the caller's.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const FAILURES: u32 = 5;
/// Between two probes while it is open.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    /// Open, and last probed at this moment.
    open: Option<Instant>,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.state().open.is_some()
    }

    /// Counts a failure. `true`: this one opened it.
    pub(super) fn failed(&self) -> bool {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let opens = state.failures >= FAILURES && state.open.is_none();
        if opens {
            state.open = Some(Instant::now());
        }
        opens
    }

    /// An answer came. An open breaker stays open: an answer that was late says little.
    pub(super) fn answered(&self) {
        self.state().failures = 0;
    }

    /// `true` for one caller a second while it is open: that one may try.
    pub(super) fn may_probe(&self) -> bool {
        let mut state = self.state();
        match state.open {
            Some(at) if at.elapsed() >= PROBE_EVERY => {
                state.open = Some(Instant::now());
                true
            }
            _ => false,
        }
    }

    pub(super) fn close(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_row_open_it_and_answers_in_between_do_not() {
        let breaker = Breaker::default();
        for _ in 0..4 {
            assert!(!breaker.failed());
        }
        breaker.answered();
        for _ in 0..4 {
            assert!(!breaker.failed());
        }
        assert!(!breaker.is_open());
        assert!(breaker.failed());
        assert!(breaker.is_open() && !breaker.failed());
        assert!(!breaker.may_probe(), "the failure that opened it was a try of its own");
        breaker.close();
        assert!(!breaker.is_open());
    }
}
