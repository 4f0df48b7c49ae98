//! What one evaluation leaves to the next: what is wanted, and since when things have lasted.

use super::{Inputs, Policy};
use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub desired: u32,
    /// What ran at the last evaluation.
    pub current: u32,
    pub high_since: Option<Timestamp>,
    pub low_since: Option<Timestamp>,
    /// When `desired` was last changed by a rule.
    pub changed_at: Option<Timestamp>,
    pub seen_at: Timestamp,
    /// Since when the decision is what it is.
    pub since: Timestamp,
}

impl Memory {
    pub(super) const fn new(current: u32, now: Timestamp) -> Self {
        Self {
            desired: current,
            current,
            high_since: None,
            low_since: None,
            changed_at: None,
            seen_at: now,
            since: now,
        }
    }

    /// What is known once these inputs are, before any rule is asked.
    pub(super) fn seen(policy: &Policy, last: Option<&Self>, inputs: &Inputs, now: Timestamp) -> Self {
        let cpu = inputs.observed.cpu;
        let new = Self::new(inputs.current, now);
        let last = last.filter(|last| is_within(now, last.seen_at, policy.forget)).unwrap_or(&new);
        // Time that nobody watched proves nothing.
        let watched = is_within(now, last.seen_at, policy.gap);
        let lasting = |holds: bool, since: Option<Timestamp>| holds.then(|| since.filter(|_| watched).unwrap_or(now));
        Self {
            desired: if last.is_overruled_by(inputs.current) { inputs.current } else { last.desired },
            current: inputs.current,
            high_since: lasting(cpu.is_some_and(|cpu| cpu > policy.up_cpu), last.high_since),
            low_since: lasting(cpu.is_some_and(|cpu| cpu < policy.down_cpu), last.low_since),
            seen_at: now,
            ..*last
        }
    }

    /// Somebody else asked for more. Fewer than wanted are a death or a start that takes time: those are still wanted.
    const fn is_overruled_by(&self, current: u32) -> bool {
        current > self.desired && current > self.current
    }

    /// What has lasted until now says nothing of the new number.
    pub(super) const fn changed(&mut self, desired: u32, now: Timestamp) {
        self.desired = desired;
        self.changed_at = Some(now);
        self.high_since = None;
        self.low_since = None;
    }

    /// Whole seconds until the last change is `pause` old; `None` when it is.
    pub(super) fn rests(&self, pause: Duration, now: Timestamp) -> Option<u64> {
        let changed_at = self.changed_at?;
        is_within(now, changed_at, pause).then(|| {
            let gone = u64::try_from((now - changed_at).num_seconds()).unwrap_or(0);
            pause.as_secs().saturating_sub(gone)
        })
    }
}

fn is_within(now: Timestamp, then: Timestamp, span: Duration) -> bool {
    (now - then).to_std().unwrap_or_default() < span
}
