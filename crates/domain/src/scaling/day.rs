//! A day of traffic against a fleet that obeys: every change of the number, as a snapshot.
//!
//! The fleet is a model: a worker starts 100 generations a second at full CPU, begins 30 s after it was asked for, and tells its CPU as a share
//! of what it starts. Arrivals follow a day's curve with a burst at noon; before noon tokens run short, at night an operator pauses, and once
//! the workers' CPU is not told.

use super::rules::{at, calm};
use super::{Memory, Policy, decide};
use std::collections::VecDeque;
use std::fmt::Write;

const TICK: i64 = 15;
const STARTS_A_SECOND: f64 = 100.0;
/// From the wish for a worker to its first claim, in ticks.
const COMES_AFTER: usize = 2;
const HOUR: i64 = 3_600;

/// Submissions a second.
fn arrivals(second: i64) -> f64 {
    let hour = second as f64 / HOUR as f64;
    // Quiet at four in the morning, busiest at four in the afternoon.
    let curve = 0.5 - 0.5 * ((hour - 4.0) / 24.0 * std::f64::consts::TAU).cos();
    let burst = if (12 * HOUR..12 * HOUR + 600).contains(&second) { 750.0 } else { 0.0 };
    20.0 + 480.0 * curve * curve + burst
}

fn clock(second: i64) -> String {
    format!("{:02}:{:02}:{:02}", second / HOUR, second / 60 % 60, second % 60)
}

#[test]
fn a_day() {
    let policy = Policy::default();
    let mut memory: Option<Memory> = None;
    let mut coming: VecDeque<u32> = VecDeque::from(vec![1; COMES_AFTER]);
    let (mut waiting, mut asked, mut longest, mut fewest, mut most) = (0.0f64, 1, 0.0f64, u32::MAX, 0);
    let mut said = None;
    let mut told = String::new();
    for second in (0..24 * HOUR).step_by(TICK as usize) {
        coming.push_back(asked);
        let running = coming.pop_front().unwrap();
        let paused = (2 * HOUR..2 * HOUR + 900).contains(&second);
        let capacity = if paused { 0.0 } else { f64::from(running) * STARTS_A_SECOND };
        let offered = arrivals(second) + waiting / TICK as f64;
        let started = offered.min(capacity);
        waiting = (waiting + (arrivals(second) - started) * TICK as f64).max(0.0);

        let mut inputs = calm(asked);
        let seen = &mut inputs.observed;
        (seen.workers, seen.paused) = (running, paused);
        seen.cpu = Some(started / (f64::from(running) * STARTS_A_SECOND));
        if (21 * HOUR..21 * HOUR + 1_800).contains(&second) {
            seen.cpu = None;
        }
        (seen.due, seen.waiting) = (waiting as u64, waiting as u64);
        seen.oldest_waiting_seconds = if waiting < 1.0 { 0.0 } else { waiting / arrivals(second) };
        if (11 * HOUR..11 * HOUR + 2_400).contains(&second) {
            (seen.token_capacity, seen.token_free) = (350, 20);
        }

        let decision = decide(&policy, memory.as_ref(), &inputs, at(second));
        let line = (decision.desired, decision.rule);
        if said != Some(line) {
            let rule = decision.rule.name();
            writeln!(
                told,
                "{}  {:>2} -> {:>2}  {rule:<15} {}",
                clock(second),
                asked,
                decision.desired,
                decision.reason
            )
            .unwrap();
        }
        said = Some(line);
        asked = decision.desired;
        memory = Some(decision.memory);
        longest = longest.max(waiting);
        (fewest, most) = (fewest.min(asked), most.max(asked));
    }
    writeln!(told, "between {fewest} and {most}; at most {longest:.0} waited").unwrap();
    insta::assert_snapshot!(told);
}
