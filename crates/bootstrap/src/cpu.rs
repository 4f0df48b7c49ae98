//! How busy this process is: the CPU time it took since it was last asked, as a share of what it may use.
//!
//! Linux alone tells (`/proc/self/stat`); elsewhere nothing is known, and nothing is guessed.

use crate::ops::limits;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The kernel's unit in `/proc`, the same on every architecture that we build for.
const TICKS_A_SECOND: f64 = 100.0;
/// Over less than this a count of ticks says little.
const SHORTEST: Duration = Duration::from_millis(500);

/// Asked by one caller, now and then.
pub struct CpuMeter {
    cores: f64,
    last: Mutex<Option<(Instant, f64)>>,
}

impl CpuMeter {
    /// Begins to measure now.
    pub fn new() -> Self {
        Self { cores: limits::cpu_cores(), last: Mutex::new(seconds().map(|taken| (Instant::now(), taken))) }
    }

    /// The share since the last answer: 1 is all that the process may use. `None`: not known, or asked again too soon.
    pub fn share(&self) -> Option<f64> {
        let (now, taken) = (Instant::now(), seconds()?);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (then, before) = last.unwrap_or((now, taken));
        let passed = now.saturating_duration_since(then);
        if passed < SHORTEST {
            return None;
        }
        *last = Some((now, taken));
        Some((taken - before).max(0.0) / passed.as_secs_f64() / self.cores)
    }
}

impl Default for CpuMeter {
    fn default() -> Self {
        Self::new()
    }
}

/// CPU time of this process so far, in its own code and in the kernel's.
fn seconds() -> Option<f64> {
    ticks(&fs::read_to_string("/proc/self/stat").ok()?).map(|ticks| ticks / TICKS_A_SECOND)
}

/// Fields 14 and 15, counted behind the name, which may hold anything.
fn ticks(stat: &str) -> Option<f64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_whitespace().skip(11);
    let own: f64 = fields.next()?.parse().ok()?;
    let kernel: f64 = fields.next()?.parse().ok()?;
    Some(own + kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_behind_any_name() {
        let stat = "4242 (a) (b c) R 1 4242 4242 0 -1 4194304 100 0 0 0 250 30 0 0 20 0 4 0 1000 1 2";
        assert_eq!(ticks(stat), Some(280.0));
        assert_eq!(ticks("4242 (a) R 1"), None);
    }

    #[test]
    fn a_share_is_told_once_something_can_be_said() {
        let meter = CpuMeter::new();
        *meter.last.lock().unwrap() = Some((Instant::now() + Duration::from_secs(60), 0.0));
        assert_eq!(meter.share(), None, "asked too soon");
        let long_ago = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let before = seconds().unwrap() - 0.5 * meter.cores;
        *meter.last.lock().unwrap() = Some((long_ago, before));
        let share = meter.share().unwrap();
        assert!((0.3..=1.5).contains(&share), "half of all that it may use: {share}");
    }
}
