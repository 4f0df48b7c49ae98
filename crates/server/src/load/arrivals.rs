//! When requests are due: offsets from the start, independent of how long answers take, and the thread that keeps to them.

use rand::RngExt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Arrivals that are due and not yet taken; beyond it the timetable waits, and what it then hands over is still counted from when it
/// was due.
const DUE_MOST: usize = 65_536;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// An endless timetable of a mean rate.
#[derive(Debug, Clone)]
pub(super) struct Arrivals {
    /// A second.
    rate: f64,
    random: bool,
    count: u64,
    last: f64,
}

impl Arrivals {
    /// Evenly spaced: the first at once.
    pub(super) const fn even(rate: f64) -> Self {
        Self { rate, random: false, count: 0, last: 0.0 }
    }

    /// A Poisson process: independent customers.
    pub(super) const fn poisson(rate: f64) -> Self {
        Self { rate, random: true, count: 0, last: 0.0 }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let at = if self.random {
            let gap = -(1.0 - rand::rng().random::<f64>()).ln() / self.rate;
            self.last += gap;
            self.last
        } else {
            // Multiplied, not added up: the millionth is as exact as the first.
            self.count as f64 / self.rate
        };
        self.count += 1;
        Duration::try_from_secs_f64(at).ok()
    }
}

/// Hands over each moment as it comes, from `begin` for `lasting`. A thread, because the runtime's timers are exact to a millisecond only.
///
/// # Errors
/// When no thread can be made.
pub(super) fn keep(
    arrivals: Arrivals,
    begin: Instant,
    lasting: Duration,
    stop: CancellationToken,
) -> io::Result<mpsc::Receiver<Instant>> {
    let (due, taken) = mpsc::channel(DUE_MOST);
    thread::Builder::new().name("arrivals".into()).spawn(move || {
        for offset in arrivals.take_while(|offset| *offset < lasting) {
            let at = begin + offset;
            loop {
                let left = at.saturating_duration_since(Instant::now());
                if stop.is_cancelled() {
                    return;
                }
                if left.is_zero() {
                    break;
                }
                thread::sleep(left.min(LOOK_EVERY));
            }
            if due.blocking_send(at).is_err() {
                return;
            }
        }
    })?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_arrivals_do_not_drift() {
        let mut arrivals = Arrivals::even(300.0);
        assert_eq!(arrivals.next(), Some(Duration::ZERO));
        assert_eq!(arrivals.nth(299), Some(Duration::from_secs(1)));
        assert_eq!(arrivals.nth(300 * 3_600 - 1), Some(Duration::from_secs(3_601)));
    }

    #[test]
    fn random_arrivals_have_the_rate_in_the_mean_and_never_go_back() {
        let offsets: Vec<Duration> = Arrivals::poisson(100.0).take(100_000).collect();
        assert!(offsets.is_sorted());
        // 100,000 gaps: six standard deviations are 2 %.
        let mean = offsets.last().unwrap().as_secs_f64() / 1_000.0;
        assert!((0.98..1.02).contains(&mean), "{mean}");
    }

    #[test]
    fn all_that_was_due_is_handed_over_with_its_own_moment() {
        let begin = Instant::now();
        let stop = CancellationToken::new();
        let mut due = keep(Arrivals::even(1_000.0), begin, Duration::from_millis(50), stop).unwrap();
        let mut moments = Vec::new();
        while let Some(at) = due.blocking_recv() {
            assert!(Instant::now() >= at);
            moments.push(at - begin);
        }
        assert_eq!(moments, Arrivals::even(1_000.0).take(50).collect::<Vec<_>>());
    }

    #[test]
    fn a_timetable_that_is_stopped_ends() {
        let stop = CancellationToken::new();
        let mut due = keep(Arrivals::even(0.001), Instant::now(), Duration::from_secs(9_999), stop.clone()).unwrap();
        assert!(due.blocking_recv().is_some());
        stop.cancel();
        assert!(due.blocking_recv().is_none());
    }
}
