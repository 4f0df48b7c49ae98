//! Which rule a decision followed.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Too many are due: up.
    Waiting,
    /// One has been due for too long: up.
    OldestWaiting,
    /// The workers are busy, and have been: up.
    CpuHigh,
    /// The workers are idle, and have been, and nothing waits: down by one.
    CpuLow,
    /// The number was out of its bounds.
    Bounds,
    /// More are wanted, and the bound is reached.
    AtMost,
    /// More are wanted, and the tokens would not feed them.
    Tokens,
    /// A change is wanted, and the last one is too recent.
    CoolDown,
    /// The queue is paused: its length says nothing of the workers.
    Paused,
    /// What a decision needs is not known: it stays.
    NoData,
    /// Nothing asks for a change.
    Steady,
}

impl Rule {
    pub const ALL: [Self; 11] = [
        Self::Waiting,
        Self::OldestWaiting,
        Self::CpuHigh,
        Self::CpuLow,
        Self::Bounds,
        Self::AtMost,
        Self::Tokens,
        Self::CoolDown,
        Self::Paused,
        Self::NoData,
        Self::Steady,
    ];

    /// As the API and the metrics word it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::OldestWaiting => "oldest_waiting",
            Self::CpuHigh => "cpu_high",
            Self::CpuLow => "cpu_low",
            Self::Bounds => "bounds",
            Self::AtMost => "at_most",
            Self::Tokens => "tokens",
            Self::CoolDown => "cool_down",
            Self::Paused => "paused",
            Self::NoData => "no_data",
            Self::Steady => "steady",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_stored_under_its_name() {
        for rule in Rule::ALL {
            assert_eq!(serde_json::to_value(rule).unwrap(), rule.name());
        }
    }
}
