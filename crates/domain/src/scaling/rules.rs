//! A table for every rule: a history of evaluations, and what the last one says.

use super::{Decision, Inputs, Memory, Observed, Policy, Rule, blind, decide};
use crate::Timestamp;
use chrono::TimeDelta;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + seconds)
}

/// A fleet in good health, with tokens for all that the bounds allow.
pub(super) fn calm(current: u32) -> Inputs {
    let observed = Observed {
        workers: current,
        cpu: Some(0.5),
        waiting: 0,
        due: 0,
        oldest_waiting_seconds: 0.0,
        paused: false,
        token_capacity: 10_000,
        token_free: 10_000,
        slots: 50,
    };
    Inputs { current, observed }
}

fn with(current: u32, change: impl FnOnce(&mut Observed)) -> Inputs {
    let mut inputs = calm(current);
    change(&mut inputs.observed);
    inputs
}

fn cpu(current: u32, share: f64) -> Inputs {
    with(current, |seen| seen.cpu = Some(share))
}

fn due(current: u32, count: u64) -> Inputs {
    with(current, |seen| (seen.due, seen.waiting) = (count, count))
}

/// The last of these evaluations, every 15 s unless a moment is named.
fn last(policy: &Policy, history: &[(i64, Inputs)]) -> Decision {
    let mut memory: Option<Memory> = None;
    let mut decision = None;
    for (seconds, inputs) in history {
        let made = decide(policy, memory.as_ref(), inputs, at(*seconds));
        memory = Some(made.memory);
        decision = Some(made);
    }
    decision.unwrap()
}

fn every_15_s(until: i64, inputs: Inputs) -> Vec<(i64, Inputs)> {
    (0..=until / 15).map(|step| (step * 15, inputs)).collect()
}

#[track_caller]
fn says(history: &[(i64, Inputs)], desired: u32, rule: Rule) {
    let decision = last(&Policy::default(), history);
    assert_eq!((decision.desired, decision.rule), (desired, rule), "{}", decision.reason);
}

#[test]
fn more_than_a_hundred_due_ask_for_half_as_many_again_at_once() {
    for (current, count, desired, rule) in [
        (1, 100, 1, Rule::Steady),
        (1, 101, 2, Rule::Waiting),
        (2, 101, 3, Rule::Waiting),
        (3, 101, 5, Rule::Waiting),
        (5, 101, 8, Rule::Waiting),
        (8, 1_000_000, 10, Rule::Waiting),
        (10, 101, 10, Rule::AtMost),
    ] {
        says(&[(0, due(current, count))], desired, rule);
    }
}

#[test]
fn what_backs_off_is_no_work_for_a_worker() {
    says(&[(0, with(1, |seen| seen.waiting = 5_000))], 1, Rule::Steady);
}

#[test]
fn one_that_has_been_due_for_more_than_thirty_seconds_asks_for_more_at_once() {
    for (oldest, desired, rule) in [(29.9, 2, Rule::Steady), (30.0, 2, Rule::Steady), (30.1, 3, Rule::OldestWaiting)] {
        let inputs = with(2, |seen| (seen.due, seen.waiting, seen.oldest_waiting_seconds) = (1, 1, oldest));
        says(&[(0, inputs)], desired, rule);
    }
}

#[test]
fn cpu_over_seventy_percent_must_last_two_minutes() {
    says(&every_15_s(105, cpu(2, 0.71)), 2, Rule::Steady);
    says(&every_15_s(120, cpu(2, 0.71)), 3, Rule::CpuHigh);
    // Seventy itself is not over it.
    says(&every_15_s(600, cpu(2, 0.70)), 2, Rule::Steady);
    // One look under it begins anew.
    let mut dip = every_15_s(105, cpu(2, 0.9));
    dip.push((120, cpu(2, 0.6)));
    dip.extend(every_15_s(105, cpu(2, 0.9)).into_iter().map(|(seconds, inputs)| (135 + seconds, inputs)));
    says(&dip, 2, Rule::Steady);
    dip.push((255, cpu(2, 0.9)));
    says(&dip, 3, Rule::CpuHigh);
}

#[test]
fn cpu_under_thirty_percent_must_last_five_minutes_with_nothing_waiting() {
    says(&every_15_s(285, cpu(4, 0.29)), 4, Rule::Steady);
    says(&every_15_s(300, cpu(4, 0.29)), 3, Rule::CpuLow);
    says(&every_15_s(900, cpu(4, 0.30)), 4, Rule::Steady);
    let backing_off = with(4, |seen| (seen.cpu, seen.waiting) = (Some(0.1), 1));
    says(&every_15_s(900, backing_off), 4, Rule::Steady);
    says(&every_15_s(900, cpu(1, 0.01)), 1, Rule::Steady);
}

#[test]
fn down_goes_one_at_a_time_and_five_minutes_apart() {
    let policy = Policy::default();
    let (mut memory, mut current, mut changes) = (None, 4, Vec::new());
    for step in 0..=100 {
        let decision = decide(&policy, memory.as_ref(), &cpu(current, 0.1), at(step * 15));
        if decision.desired != current {
            changes.push((step * 15, decision.desired));
        }
        current = decision.desired;
        memory = Some(decision.memory);
    }
    assert_eq!(changes, [(300, 3), (615, 2), (930, 1)]);
}

#[test]
fn a_change_rests_before_the_next_one_up() {
    let mut history = vec![(0, due(1, 500)), (15, due(2, 500))];
    says(&history, 2, Rule::CoolDown);
    history.push((59, due(2, 500)));
    says(&history, 2, Rule::CoolDown);
    history.push((60, due(2, 500)));
    says(&history, 3, Rule::Waiting);
}

#[test]
fn between_the_thresholds_nothing_moves() {
    for share in [0.30, 0.45, 0.70] {
        says(&every_15_s(7_200, cpu(5, share)), 5, Rule::Steady);
    }
}

#[test]
fn never_more_than_the_tokens_feed() {
    let fed = |capacity, free| {
        let mut inputs = due(4, 500);
        (inputs.observed.token_capacity, inputs.observed.token_free) = (capacity, free);
        inputs
    };
    for (capacity, free, desired, rule) in [
        // Two more have a lease for each of their 50 slots.
        (10_000, 100, 6, Rule::Waiting),
        (10_000, 99, 5, Rule::Waiting),
        (10_000, 49, 4, Rule::Tokens),
        (10_000, 0, 4, Rule::Tokens),
        // All of them together feed five.
        (250, 250, 5, Rule::Waiting),
        (200, 200, 4, Rule::Tokens),
        // Tokens that are out take nobody away: those who wait are still waiting.
        (0, 0, 4, Rule::Tokens),
    ] {
        says(&[(0, fed(capacity, free))], desired, rule);
    }
}

#[test]
fn bounds_hold_whatever_is_asked() {
    let policy = Policy { min: 2, max: 4, ..Policy::default() };
    for (inputs, desired) in [(calm(0), 2), (calm(1), 2), (calm(9), 4), (due(9, 500), 4)] {
        let decision = decide(&policy, None, &inputs, at(0));
        assert_eq!((decision.desired, decision.rule), (desired, Rule::Bounds));
    }
    let narrower = decide(&Policy::default(), None, &due(6, 500), at(0));
    let decision = decide(&policy, Some(&narrower.memory), &calm(9), at(15));
    assert_eq!((decision.desired, decision.rule), (4, Rule::Bounds));
}

#[test]
fn a_paused_queue_says_nothing_of_the_workers() {
    let paused = with(3, |seen| (seen.due, seen.waiting, seen.paused) = (5_000, 5_000, true));
    says(&every_15_s(600, paused), 3, Rule::Paused);
    says(&every_15_s(900, with(3, |seen| (seen.cpu, seen.paused) = (Some(0.0), true))), 3, Rule::Paused);
}

#[test]
fn what_is_not_known_holds() {
    says(&every_15_s(900, with(4, |seen| seen.cpu = None)), 4, Rule::NoData);
    // A minute without news of the CPU is a minute that proves nothing.
    let mut gap = every_15_s(285, cpu(4, 0.1));
    gap.push((300, with(4, |seen| seen.cpu = None)));
    gap.push((315, cpu(4, 0.1)));
    says(&gap, 4, Rule::Steady);
    // Nor does time that nobody watched: a leader that comes after a gap counts from there.
    says(&[(0, cpu(4, 0.1)), (299, cpu(4, 0.1)), (310, cpu(4, 0.1))], 4, Rule::Steady);
    says(&[(0, cpu(2, 0.9)), (61, cpu(2, 0.9)), (120, cpu(2, 0.9))], 2, Rule::Steady);
    // The queue is known all the same.
    says(&[(0, with(4, |seen| (seen.cpu, seen.due) = (None, 101)))], 6, Rule::Waiting);
}

#[test]
fn a_controller_that_does_not_answer_holds_what_was_wanted() {
    let wanted = last(&Policy::default(), &[(0, due(1, 500))]);
    let held = blind(Some(&wanted.memory), &due(1, 500), "the platform does not answer".to_owned(), at(15));
    assert_eq!((held.desired, held.rule), (2, Rule::NoData));
    // It takes up again where it was.
    let after = decide(&Policy::default(), Some(&held.memory), &due(1, 500), at(30));
    assert_eq!((after.desired, after.rule), (2, Rule::Waiting));
    let never = blind(None, &calm(3), "the platform does not answer".to_owned(), at(0));
    assert_eq!((never.desired, never.rule), (3, Rule::NoData));
}

#[test]
fn what_was_asked_for_and_is_not_there_yet_is_still_wanted() {
    // Nobody acts on it: it asks for the same, and for no more than that.
    let ignored: Vec<_> = (0..=40).map(|step| (step * 15, due(1, 500))).collect();
    says(&ignored, 2, Rule::Waiting);
    // A worker dies: the number that is wanted stays.
    says(&[(0, calm(3)), (15, calm(2))], 3, Rule::Steady);
    says(&[(0, calm(3)), (15, calm(0))], 3, Rule::Steady);
    // One that could not be let go is not a new wish, nor a reason to let further ones go.
    says(&every_15_s(315, cpu(4, 0.1)), 3, Rule::Steady);
    says(&every_15_s(1_200, cpu(5, 0.1)), 4, Rule::CpuLow);
    // Once it has gone, the next one may.
    let mut gone = every_15_s(1_200, cpu(5, 0.1));
    gone.push((1_215, cpu(4, 0.1)));
    says(&gone, 3, Rule::CpuLow);
}

#[test]
fn more_by_somebody_elses_hand_is_the_new_start() {
    says(&[(0, calm(3)), (15, calm(6))], 6, Rule::Steady);
}

#[test]
fn what_was_wanted_long_ago_is_forgotten() {
    says(&[(0, due(4, 500)), (899, calm(2))], 6, Rule::Steady);
    says(&[(0, due(4, 500)), (900, calm(2))], 2, Rule::Steady);
}

#[test]
fn a_decision_says_since_when_it_stands() {
    let decision = last(&Policy::default(), &[(0, calm(1)), (15, due(1, 500)), (30, due(2, 500)), (45, due(2, 500))]);
    assert_eq!(decision.memory.since, at(15));
    assert_eq!(decision.reason, "500 wait, over 100; the last change is yet to show, for 30 s more");
}

#[test]
fn it_is_stored_and_read_back() {
    let decision = last(&Policy::default(), &every_15_s(120, cpu(2, 0.71)));
    let text = serde_json::to_string(&decision).unwrap();
    assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
    let inputs = with(3, |seen| seen.cpu = None);
    let text = serde_json::to_string(&inputs).unwrap();
    assert_eq!(serde_json::from_str::<Inputs>(&text).unwrap(), inputs);
}
