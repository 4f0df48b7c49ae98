//! What holds for whatever is measured, in whatever order.

use super::rules::{at, calm};
use super::{Inputs, Memory, Policy, Rule, decide};
use proptest::prelude::*;

fn inputs() -> impl Strategy<Value = Inputs> {
    let cpu = prop_oneof![3 => (0.0..1.2f64).prop_map(Some), 1 => Just(None)];
    let queue = prop_oneof![2 => Just((0, 0)), 3 => (0..400u64, 0..400u64)];
    (0..14u32, cpu, queue, 0.0..90.0f64, prop::bool::weighted(0.1), 0..900u64, 0..900u64).prop_map(
        |(current, cpu, (due, backing_off), oldest, paused, capacity, free)| {
            let mut inputs = calm(current);
            let seen = &mut inputs.observed;
            (seen.cpu, seen.due, seen.waiting, seen.paused) = (cpu, due, due + backing_off, paused);
            seen.oldest_waiting_seconds = if due == 0 { 0.0 } else { oldest };
            (seen.token_capacity, seen.token_free) = (capacity, free.min(capacity));
            inputs
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_comes(
        history in prop::collection::vec((inputs(), 1..90i64), 1..120),
        min in 1..4u32,
        more in 0..10u32,
    ) {
        let policy = Policy { min, max: min + more, ..Policy::default() };
        let mut memory: Option<Memory> = None;
        let mut now = 0;
        for (inputs, step) in history {
            now += step;
            let decision = decide(&policy, memory.as_ref(), &inputs, at(now));
            let seen = &inputs.observed;
            // What it starts from: the number wanted, or a larger one of somebody else's.
            let base = match &memory {
                Some(last) if inputs.current > last.desired && inputs.current > last.current => inputs.current,
                Some(last) => last.desired,
                None => inputs.current,
            };
            let desired = decision.desired;
            prop_assert!((policy.min..=policy.max).contains(&desired), "{decision:?}");
            if decision.rule == Rule::Bounds {
                prop_assert!(base < policy.min || base > policy.max);
            } else if desired < base {
                prop_assert_eq!(desired, base - 1, "down by one");
                prop_assert!(inputs.current <= base, "never further while the last one has not gone");
                prop_assert_eq!(seen.waiting, 0, "never down while anything waits");
                prop_assert!(seen.cpu.is_some_and(|cpu| cpu < policy.down_cpu));
                prop_assert_eq!(decision.rule, Rule::CpuLow);
            } else if desired > base {
                prop_assert!(desired <= seen.fed(inputs.current), "never more than the tokens feed");
                prop_assert!(!seen.paused);
                prop_assert!(matches!(decision.rule, Rule::Waiting | Rule::OldestWaiting | Rule::CpuHigh));
            }
            if let (Some(last), true) = (&memory, desired != base && decision.rule != Rule::Bounds)
                && let Some(changed_at) = last.changed_at
            {
                let pause = if desired > base { policy.up_pause } else { policy.down_pause };
                prop_assert!((at(now) - changed_at).to_std().unwrap() >= pause, "no change rests too short");
            }
            // The same again at the same moment changes nothing more.
            let again = decide(&policy, Some(&decision.memory), &inputs, at(now));
            prop_assert_eq!(again.desired, desired);
            memory = Some(decision.memory);
        }
    }
}
