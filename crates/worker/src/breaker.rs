//! The circuit breaker on the upstream as a whole: while it is down only a probe is sent, and the backlog waits in the ledger.
//!
//! It opens when 80 % of the last 50 calls failed, or 15 in a row within three seconds: an upstream that is gone is known by fewer calls than
//! one that is ill, and of a fleet each worker has to find out. A few generations that fail at each of their tries are too few for that. A
//! failure is an upstream that is unavailable or does not answer; its refusals (429 and the other 4xx) show that it lives and are not counted.
//! Open, it lets one call through after a pause that grows to 5 s; the first probe that is answered closes it.

use domain::ports::upstream::UpstreamError;
use prometheus::IntGauge;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: u32 = 50;
const FAILURES: u32 = 40;
/// An upstream that fails every third call does so three times a week, at a hundred calls a second.
const IN_A_ROW: usize = 15;
const A_ROW: Duration = Duration::from_secs(3);
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
enum State {
    Closed,
    Open { until: Instant, probes: u32 },
    Probing { probes: u32 },
}

struct Inner {
    state: State,
    /// The last calls, newest in the lowest bit; a set bit is a failure.
    calls: u64,
    counted: u32,
    row: Row,
    /// How often it closed. What was let through before says nothing of an upstream that answers again.
    era: u32,
}

impl Inner {
    fn closed(era: u32) -> Self {
        Self { state: State::Closed, calls: 0, counted: 0, row: Row::default(), era }
    }
}

/// The failures since the last answer, those of the last moments.
#[derive(Default)]
struct Row(VecDeque<Instant>);

impl Row {
    /// How many they are with this call.
    fn count(&mut self, failed: bool, now: Instant) -> usize {
        if failed {
            self.0.push_back(now);
        } else {
            self.0.clear();
        }
        while self.0.front().is_some_and(|at| now.saturating_duration_since(*at) > A_ROW) {
            self.0.pop_front();
        }
        self.0.len()
    }
}

pub(crate) struct Breaker {
    inner: Mutex<Inner>,
    gauge: IntGauge,
}

/// What may be claimed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Free,
    /// One call, to find out.
    Probe,
    Shut(Duration),
}

/// One call that was let through. Dropped without an answer, a probe counts as failed.
pub(crate) struct Permit {
    breaker: Arc<Breaker>,
    probe: bool,
    era: u32,
    answered: bool,
}

/// What a call's result says about the upstream: `None` says nothing.
fn health<T>(result: &Result<T, UpstreamError>) -> Option<bool> {
    match result {
        Ok(_) => Some(true),
        Err(UpstreamError::Unavailable(_) | UpstreamError::TimedOut(_) | UpstreamError::Unclear(_)) => Some(false),
        Err(_) => None,
    }
}

impl Breaker {
    pub(crate) fn new(gauge: IntGauge) -> Self {
        Self { inner: Mutex::new(Inner::closed(0)), gauge }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks without taking anything.
    pub(crate) fn room(&self, now: Instant) -> Room {
        match self.lock().state {
            State::Closed => Room::Free,
            State::Open { until, .. } if until <= now => Room::Probe,
            State::Open { until, .. } => Room::Shut(until - now),
            State::Probing { .. } => Room::Shut(PAUSE_FIRST),
        }
    }

    /// Lets a call through, or says for how long none will be.
    pub(crate) fn admit(self: &Arc<Self>, now: Instant) -> Result<Permit, Duration> {
        let mut inner = self.lock();
        let probe = match inner.state {
            State::Closed => false,
            State::Open { until, probes } if until <= now => {
                inner.state = State::Probing { probes };
                true
            }
            State::Open { until, .. } => return Err(until - now),
            State::Probing { .. } => return Err(PAUSE_FIRST),
        };
        Ok(Permit { breaker: self.clone(), probe, era: inner.era, answered: false })
    }

    fn count(&self, failed: bool, era: u32, now: Instant) {
        let mut inner = self.lock();
        if !matches!(inner.state, State::Closed) || era != inner.era {
            return;
        }
        inner.calls = (inner.calls << 1 | u64::from(failed)) & ((1 << WINDOW) - 1);
        inner.counted = (inner.counted + 1).min(WINDOW);
        let row = inner.row.count(failed, now);
        if row >= IN_A_ROW || (inner.counted == WINDOW && inner.calls.count_ones() >= FAILURES) {
            inner.state = State::Open { until: now + PAUSE_FIRST, probes: 0 };
            self.gauge.set(1);
            tracing::warn!("the upstream is down: only probes are sent");
        }
    }

    fn probed(&self, alive: bool, now: Instant) {
        let mut inner = self.lock();
        let State::Probing { probes } = inner.state else { return };
        if alive {
            *inner = Inner::closed(inner.era.wrapping_add(1));
            self.gauge.set(0);
            tracing::info!("the upstream answers again");
        } else {
            let pause = PAUSE_FIRST.saturating_mul(1 << (probes + 1).min(8)).min(PAUSE_LONGEST);
            inner.state = State::Open { until: now + pause, probes: probes + 1 };
        }
    }
}

impl Permit {
    pub(crate) fn record<T>(mut self, result: &Result<T, UpstreamError>) {
        self.answered = true;
        let now = Instant::now();
        match (self.probe, health(result)) {
            // Refused or not, a probe that was answered shows that somebody is there.
            (true, health) => self.breaker.probed(health != Some(false), now),
            (false, Some(alive)) => self.breaker.count(!alive, self.era, now),
            (false, None) => {}
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.probe && !self.answered {
            self.breaker.probed(false, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Arc<Breaker> {
        Arc::new(Breaker::new(IntGauge::new("open", "open").unwrap()))
    }

    fn down() -> Result<(), UpstreamError> {
        Err(UpstreamError::Unavailable("down".into()))
    }

    fn call(breaker: &Arc<Breaker>, result: &Result<(), UpstreamError>) {
        breaker.admit(Instant::now()).ok().unwrap().record(result);
    }

    #[test]
    fn it_opens_at_four_fifths_and_refusals_do_not_count() {
        let breaker = breaker();
        for _ in 0..200 {
            call(&breaker, &Err(UpstreamError::RateLimited { retry_after: None }));
            call(&breaker, &Err(UpstreamError::Rejected("no".into())));
        }
        // 39 of 50, never many in a row.
        for lived in [1, 1, 1, 1, 1, 1, 1, 1, 1, 2] {
            (0..lived).for_each(|_| call(&breaker, &Ok(())));
            (0..5 - lived).for_each(|_| call(&breaker, &down()));
        }
        assert_eq!(breaker.room(Instant::now()), Room::Free);
        call(&breaker, &down());
        assert!(matches!(breaker.room(Instant::now()), Room::Shut(_)));
        assert!(breaker.admit(Instant::now()).is_err());
    }

    #[test]
    fn it_opens_after_fifteen_in_a_row_within_three_seconds() {
        let breaker = breaker();
        let begun = Instant::now();
        let fail = |count, every: Duration| {
            (1..).map(|n| begun + every * n).take(count).for_each(|at| breaker.count(true, 0, at));
        };
        let live = || (0..50).for_each(|_| call(&breaker, &Ok(())));
        for _ in 0..3 {
            live();
            fail(14, Duration::ZERO);
        }
        live();
        // So far apart they may be the tries of a few generations.
        fail(30, Duration::from_secs(1));
        live();
        // However they lie within three seconds.
        for (count, at) in [(1, 0.0), (13, 2.5), (2, 3.2)] {
            (0..count).for_each(|_| breaker.count(true, 0, begun + Duration::from_secs_f64(at)));
        }
        assert!(matches!(breaker.room(begun), Room::Shut(_)));
    }

    #[test]
    fn one_probe_at_a_time_and_the_first_answer_closes() {
        let breaker = breaker();
        (0..15).for_each(|_| call(&breaker, &down()));
        let later = Instant::now() + Duration::from_secs(2);
        assert_eq!(breaker.room(later), Room::Probe);
        let probe = breaker.admit(later).ok().unwrap();
        assert!(breaker.admit(later).is_err());
        drop(probe);
        assert!(matches!(breaker.room(Instant::now()), Room::Shut(pause) if pause > Duration::from_secs(1)));
        let later = Instant::now() + PAUSE_LONGEST;
        let old = Permit { breaker: breaker.clone(), probe: false, era: 0, answered: false };
        breaker.admit(later).ok().unwrap().record::<()>(&Err(UpstreamError::Unauthorized));
        assert_eq!(breaker.room(Instant::now()), Room::Free);
        // Those that hung meanwhile end now, and say nothing of an upstream that answers.
        old.record(&down());
        assert_eq!(breaker.lock().counted, 0);
    }
}
