//! The queue's numbers of the last half hour, as this gateway saw them: what the overview draws.
//!
//! Kept in memory and bounded; a restart begins anew. What must last is in Prometheus.

use domain::Timestamp;
use domain::ports::generations::QueueStats;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Half an hour, at one sample every five seconds.
const SAMPLES_MOST: usize = 360;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) waiting: f64,
    pub(super) oldest_seconds: f64,
    pub(super) running: f64,
    pub(super) per_minute: f64,
    pub(super) wait_p95: f64,
    pub(super) upstream_p95: f64,
}

#[derive(Default)]
pub(crate) struct History {
    samples: Mutex<VecDeque<Sample>>,
}

impl History {
    pub(crate) fn add(&self, at: Timestamp, stats: &QueueStats) {
        let sample = Sample {
            at,
            waiting: stats.waiting as f64,
            oldest_seconds: stats.oldest_waiting_seconds,
            running: (stats.active + stats.rendering) as f64,
            per_minute: stats.finished as f64 / 5.0,
            wait_p95: stats.wait_seconds[1],
            upstream_p95: stats.upstream_seconds[1],
        };
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES_MOST {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    pub(super) fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_newest_half_hour() {
        let history = History::default();
        for second in 0..1_000 {
            let at = Timestamp::from_timestamp(second, 0).unwrap();
            history.add(at, &QueueStats { waiting: second.unsigned_abs(), ..QueueStats::default() });
        }
        let samples = history.samples();
        assert_eq!((samples.len(), samples[0].waiting, samples[359].waiting), (360, 640.0, 999.0));
    }
}
