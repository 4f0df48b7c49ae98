//! How many workers there should be: what is measured goes in, a number and its reason come out.
//!
//! Pure: the moment and what the last evaluation remembered are arguments, so that a new leader goes on where the last one stopped. It knows no
//! platform and changes nothing. Up follows load at once and in steps of half; down goes one at a time, after long quiet, and never while
//! anything waits. What is not known holds: see [`blind`].

mod memory;
mod policy;
mod rule;
mod standing;

#[cfg(test)]
mod day;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod rules;

pub use memory::Memory;
pub use policy::Policy;
pub use rule::Rule;
pub use standing::{Decision, Standing};

use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// What an evaluation sees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Replicas as the platform counts them; where nothing is applied, the workers that live.
    pub current: u32,
    /// What the ledger says.
    #[serde(flatten)]
    pub observed: Observed,
}

/// The load, as the ledger knows it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Those that live and do not drain.
    pub workers: u32,
    /// The mean over those, each as a share of what it may use: 0 to 1, a little more at times. `None`: fewer than half of them told.
    pub cpu: Option<f64>,
    /// Queued, backoff included.
    pub waiting: u64,
    /// Of those, what a worker could take now.
    pub due: u64,
    /// How long the oldest of the due has been due.
    pub oldest_waiting_seconds: f64,
    pub paused: bool,
    /// Leases that all usable tokens allow at once, and how many of them are free.
    pub token_capacity: u64,
    pub token_free: u64,
    /// Submissions that one worker works on at once; 0 where none lives.
    pub slots: u32,
}

impl Observed {
    /// How many workers the tokens feed, where `current` run: each is of use only with a lease for each of its slots.
    pub fn fed(&self, current: u32) -> u32 {
        let slots = u64::from(self.slots.max(1));
        let more = u64::from(current) + self.token_free / slots;
        u32::try_from(more.min(self.token_capacity / slots)).unwrap_or(u32::MAX)
    }
}

/// How many workers there should be now.
pub fn decide(policy: &Policy, memory: Option<&Memory>, inputs: &Inputs, now: Timestamp) -> Decision {
    let mut next = Memory::seen(policy, memory, inputs, now);
    let base = next.desired;
    let within = base.clamp(policy.min, policy.max);
    let (desired, rule, reason) = if within != base {
        (within, Rule::Bounds, format!("{base} is out of {} to {}", policy.min, policy.max))
    } else if inputs.observed.paused {
        (base, Rule::Paused, "the queue is paused, and no worker takes anything".to_owned())
    } else if let Some((trigger, why)) = overload(policy, &next, &inputs.observed, now) {
        up(policy, &next, inputs, now, trigger, why)
    } else {
        down(policy, &next, inputs, now)
    };
    if desired != base {
        next.changed(desired, now);
    }
    Decision::of(desired, rule, reason, memory, next, now)
}

/// What runs is not known: what was wanted last stays, and what has lasted so far is not counted on.
pub fn blind(memory: Option<&Memory>, inputs: &Inputs, why: String, now: Timestamp) -> Decision {
    let last = memory.copied().unwrap_or_else(|| Memory::new(inputs.current, now));
    let next = Memory { high_since: None, low_since: None, ..last };
    Decision::of(last.desired, Rule::NoData, why, memory, next, now)
}

/// The first rule that asks for more, and why.
fn overload(policy: &Policy, memory: &Memory, seen: &Observed, now: Timestamp) -> Option<(Rule, String)> {
    let oldest = seen.oldest_waiting_seconds;
    if seen.due > policy.up_waiting {
        return Some((Rule::Waiting, format!("{} wait, over {}", seen.due, policy.up_waiting)));
    }
    if oldest > policy.up_oldest.as_secs_f64() {
        let over = policy.up_oldest.as_secs();
        return Some((Rule::OldestWaiting, format!("the oldest has waited for {oldest:.0} s, over {over} s")));
    }
    let lasted = lasted(memory.high_since, now).filter(|lasted| *lasted >= policy.up_cpu_for.as_secs())?;
    let cpu = percent(seen.cpu.unwrap_or_default());
    Some((Rule::CpuHigh, format!("CPU at {cpu} %, over {} % for {lasted} s", percent(policy.up_cpu))))
}

fn up(
    policy: &Policy,
    memory: &Memory,
    inputs: &Inputs,
    now: Timestamp,
    trigger: Rule,
    why: String,
) -> (u32, Rule, String) {
    let base = memory.desired;
    if base >= policy.max {
        return (base, Rule::AtMost, format!("{why}, and {} is the most", policy.max));
    }
    // From what runs, not from what was asked for: while nobody has acted on that, more of it would be a guess.
    let current = inputs.current;
    let wanted = (current + current.div_ceil(2).max(1)).clamp(base, policy.max);
    let fed = wanted.min(inputs.observed.fed(current).max(base));
    if wanted == base {
        return (base, trigger, format!("{why}: {base} are asked for already"));
    }
    if fed == base {
        let free = inputs.observed.token_free;
        return (
            base,
            Rule::Tokens,
            format!("{why}, but with {free} leases of tokens free, no further worker could work"),
        );
    }
    if let Some(rest) = memory.rests(policy.up_pause, now) {
        return (base, Rule::CoolDown, format!("{why}; the last change is yet to show, for {rest} s more"));
    }
    (fed, trigger, why)
}

fn down(policy: &Policy, memory: &Memory, inputs: &Inputs, now: Timestamp) -> (u32, Rule, String) {
    let (base, seen) = (memory.desired, &inputs.observed);
    let quiet = lasted(memory.low_since, now).filter(|lasted| *lasted >= policy.down_cpu_for.as_secs());
    let (Some(lasted), 0) = (quiet, seen.waiting) else {
        let steady = match seen.cpu {
            Some(cpu) => format!("CPU at {} %, {} waiting", percent(cpu), seen.waiting),
            None => format!("the workers' CPU is not known, {} waiting", seen.waiting),
        };
        return (base, if seen.cpu.is_some() { Rule::Steady } else { Rule::NoData }, steady);
    };
    let why = format!("CPU under {} % for {lasted} s and nothing waiting", percent(policy.down_cpu));
    // While nobody has acted on the last one, another would let several go at once when somebody does.
    if inputs.current > base {
        return (base, Rule::CpuLow, format!("{why}: {base} are asked for already"));
    }
    if base <= policy.min {
        return (base, Rule::Steady, format!("{why}, and {} is the least", policy.min));
    }
    if let Some(rest) = memory.rests(policy.down_pause, now) {
        return (base, Rule::CoolDown, format!("{why}; the last change is yet to show, for {rest} s more"));
    }
    (base - 1, Rule::CpuLow, why)
}

/// Whole seconds since then.
fn lasted(since: Option<Timestamp>, now: Timestamp) -> Option<u64> {
    u64::try_from((now - since?).num_seconds()).ok()
}

fn percent(share: f64) -> i64 {
    (share * 100.0).round() as i64
}
