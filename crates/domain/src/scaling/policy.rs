//! The thresholds, and how long each must last.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// At least 1, and not above `max`.
    pub min: u32,
    pub max: u32,
    /// A share of what a worker may use, 0 to 1; more for `up_cpu_for` asks for more workers.
    pub up_cpu: f64,
    pub up_cpu_for: Duration,
    /// More than so many due, or one that has been due for longer, asks for more workers at once.
    pub up_waiting: u64,
    pub up_oldest: Duration,
    /// Less for `down_cpu_for`, and nothing waiting, lets one go.
    pub down_cpu: f64,
    pub down_cpu_for: Duration,
    /// After any change, before the next one up and the next one down.
    pub up_pause: Duration,
    pub down_pause: Duration,
    /// A gap between two evaluations beyond which nothing counts as having lasted.
    pub gap: Duration,
    /// What was wanted longer ago is forgotten: it begins with what runs.
    pub forget: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min: 1,
            max: 10,
            up_cpu: 0.7,
            up_cpu_for: Duration::from_secs(120),
            up_waiting: 100,
            up_oldest: Duration::from_secs(30),
            down_cpu: 0.3,
            down_cpu_for: Duration::from_secs(300),
            up_pause: Duration::from_secs(60),
            down_pause: Duration::from_secs(300),
            gap: Duration::from_secs(60),
            forget: Duration::from_secs(900),
        }
    }
}
