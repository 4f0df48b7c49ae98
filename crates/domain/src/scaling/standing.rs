//! What was decided, as the leader writes it down for everybody to read.

use super::{Inputs, Memory, Rule};
use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// How many workers there should be, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub desired: u32,
    pub rule: Rule,
    /// For people: one sentence without its full stop.
    pub reason: String,
    /// For the next evaluation.
    pub memory: Memory,
}

impl Decision {
    pub(super) fn of(
        desired: u32,
        rule: Rule,
        reason: String,
        last: Option<&Memory>,
        mut memory: Memory,
        now: Timestamp,
    ) -> Self {
        if last.is_none_or(|last| last.desired != desired) {
            memory.since = now;
        }
        Self { desired, rule, reason, memory }
    }
}

/// A decision with what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// `railway`, `docker` or `advise`.
    pub controller: String,
    pub min: u32,
    pub max: u32,
    pub inputs: Inputs,
    pub decision: Decision,
    /// Why the controller could not be asked or could not apply it, in our words; `None` when it could.
    pub failure: Option<String>,
}
