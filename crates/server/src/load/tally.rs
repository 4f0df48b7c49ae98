//! What came of the requests that count: those within the window, after the warm-up.

use super::percentiles::Percentiles;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Kinds of failure that are told apart.
const KINDS_MOST: usize = 40;
const OTHER: &str = "other";
/// Seconds that are kept one by one: a day.
const SECONDS_MOST: usize = 86_400;

/// From when to when requests count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) begin: Instant,
    pub(super) end: Instant,
}

impl Window {
    pub(super) fn after(warmup: Duration, lasting: Duration) -> Self {
        let begin = Instant::now() + warmup;
        Self { begin, end: begin + lasting }
    }

    pub(super) fn has(&self, at: Instant) -> bool {
        self.begin <= at && at < self.end
    }

    pub(super) fn length(&self) -> Duration {
        self.end - self.begin
    }
}

/// The three moments of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    /// When it should have been sent: what latency counts from.
    pub(super) due: Instant,
    pub(super) sent: Instant,
    pub(super) done: Instant,
}

/// One second of the window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Second {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    /// Milliseconds, of those that succeeded in it.
    pub(super) p99: f64,
}

#[derive(Debug)]
pub(super) struct Tally {
    window: Window,
    /// From due to done, of what succeeded.
    pub(super) latency: Percentiles,
    /// From due to sent, of everything: what the generator itself added.
    pub(super) lag: Percentiles,
    pub(super) succeeded: u64,
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) seconds: Vec<Second>,
    now: Second,
    of_now: Percentiles,
}

impl Tally {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            latency: Percentiles::default(),
            lag: Percentiles::default(),
            succeeded: 0,
            failures: BTreeMap::new(),
            seconds: Vec::new(),
            now: Second::default(),
            of_now: Percentiles::exact_to(2),
        }
    }

    /// `counts_at`: the moment that decides whether it lies in the window. `failure`: its name, where it failed.
    pub(super) fn record(&mut self, counts_at: Instant, moments: Moments, failure: Option<String>) {
        if !self.window.has(counts_at) {
            return;
        }
        self.turn_to(moments.done);
        self.lag.record(moments.sent.saturating_duration_since(moments.due));
        match failure {
            None => {
                let latency = moments.done.saturating_duration_since(moments.due);
                self.latency.record(latency);
                self.of_now.record(latency);
                self.succeeded += 1;
                self.now.succeeded += 1;
            }
            Some(name) => {
                self.now.failed += 1;
                self.fail(name, 1);
            }
        }
    }

    /// `count` that were due and never sent.
    pub(super) fn fail(&mut self, name: String, count: u64) {
        let known = self.failures.len() < KINDS_MOST || self.failures.contains_key(&name);
        let name = if known { name } else { OTHER.to_owned() };
        *self.failures.entry(name).or_default() += count;
    }

    pub(super) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Percent of all.
    pub(super) fn error_rate(&self) -> f64 {
        let all = self.succeeded + self.failed();
        if all == 0 { 0.0 } else { self.failed() as f64 * 100.0 / all as f64 }
    }

    /// Closes the seconds before the one that `at` lies in. Answers may come slightly out of order; the clock here does not go back.
    pub(super) fn turn_to(&mut self, at: Instant) {
        let index = usize::try_from(at.saturating_duration_since(self.window.begin).as_secs()).unwrap_or(usize::MAX);
        while self.seconds.len() < index.min(SECONDS_MOST) {
            let p99 = self.of_now.at(99.0);
            self.seconds.push(Second { p99, ..std::mem::take(&mut self.now) });
            self.of_now.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(window: Window, milliseconds: u64) -> Instant {
        window.begin + Duration::from_millis(milliseconds)
    }

    #[test]
    fn latency_counts_from_when_a_request_was_due() {
        let window = Window::after(Duration::ZERO, Duration::from_secs(10));
        let mut tally = Tally::new(window);
        // The connection was busy for 900 ms: the customer waited that long, too.
        let moments = Moments { due: at(window, 0), sent: at(window, 900), done: at(window, 1_000) };
        tally.record(moments.due, moments, None);
        assert!((tally.latency.at(50.0) - 1_000.0).abs() < 1.0);
        assert!((tally.lag.at(50.0) - 900.0).abs() < 1.0);
    }

    #[test]
    fn what_lies_outside_the_window_does_not_count() {
        let window = Window::after(Duration::from_secs(1), Duration::from_secs(10));
        let mut tally = Tally::new(window);
        let early = window.begin - Duration::from_millis(1);
        for outside in [early, window.end] {
            tally.record(outside, Moments { due: outside, sent: outside, done: outside }, None);
        }
        assert_eq!((tally.succeeded, tally.lag.count()), (0, 0));
    }

    #[test]
    fn each_second_is_kept_and_failures_are_named() {
        let window = Window::after(Duration::ZERO, Duration::from_secs(10));
        let mut tally = Tally::new(window);
        for (done, failure) in [(100, None), (200, Some("503 overloaded")), (2_100, None)] {
            let done = at(window, done);
            tally.record(done, Moments { due: done, sent: done, done }, failure.map(str::to_owned));
        }
        tally.turn_to(window.end);
        assert_eq!(tally.seconds.len(), 10);
        assert_eq!((tally.seconds[0].succeeded, tally.seconds[0].failed), (1, 1));
        assert_eq!((tally.seconds[1].succeeded, tally.seconds[2].succeeded), (0, 1));
        assert!((tally.error_rate() - 100.0 / 3.0).abs() < 1e-9);
        for kind in 0..100 {
            tally.fail(format!("kind {kind}"), 1);
        }
        assert_eq!(tally.failures.len(), KINDS_MOST + 1);
        assert_eq!(tally.failed(), 101);
    }
}
