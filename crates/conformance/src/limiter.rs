//! What every rate limiter must do: say what [`domain::rate`] says, to the request.
//!
//! A suite for an adapter is `conformance::limiter_suite!(fixture())` in a module of its tests, where `fixture()` is a future of a
//! [`LimiterFixture`].

#![expect(clippy::unwrap_used, reason = "a suite fails by panicking")]

use async_trait::async_trait;
use domain::ids::AccountId;
use domain::ports::RateLimiter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// What a slow machine may take between two lines of a story.
const SLACK: Duration = Duration::from_secs(5);

#[async_trait]
pub trait LimiterFixture: Send + Sync {
    /// The limiters of two gateways; within one process twice the same.
    fn limiters(&self) -> [Arc<dyn RateLimiter>; 2];
    /// Lets time pass, as far as this account's window is concerned.
    async fn pass(&self, account: AccountId, by: Duration);
}

#[macro_export]
macro_rules! limiter_suite {
    ($fixture:expr) => {
        $crate::limiter_suite!(@each $fixture,
            exactly_the_limit_of_many_at_once_passes,
            the_numbers_are_those_of_the_rule,
            accounts_do_not_touch_each_other,
            whoever_waits_as_told_is_accepted,
            a_lowered_limit_counts_what_has_passed,
            a_raised_limit_holds_at_once,
            a_limit_of_nothing_lets_nothing_through,
            no_sixty_seconds_hold_more_than_the_limit,
        );
    };
    (@each $fixture:expr, $($story:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $story() {
                $crate::limiter::$story($fixture.await).await;
            }
        )+
    };
}

pub fn account() -> AccountId {
    AccountId::from_uuid(Uuid::from_u128(rand::random()))
}

pub async fn exactly_the_limit_of_many_at_once_passes(fixture: impl LimiterFixture) {
    const LIMIT: u32 = 200;
    let (account, limiters, passed) = (account(), fixture.limiters(), Arc::new(AtomicU32::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    let mut left = 2_000;
    for task in 0..64 {
        let share = left / (64 - task);
        left -= share;
        let (limiter, passed) = (Arc::clone(&limiters[task % 2]), Arc::clone(&passed));
        tasks.spawn(async move {
            for _ in 0..share {
                let decision = limiter.check(account, LIMIT).await.unwrap();
                passed.fetch_add(u32::from(decision.allowed), Ordering::Relaxed);
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(passed.load(Ordering::Relaxed), LIMIT);
}

pub async fn the_numbers_are_those_of_the_rule(fixture: impl LimiterFixture) {
    let (account, [here, there]) = (account(), fixture.limiters());
    let first = here.check(account, 3).await.unwrap();
    assert_eq!((first.allowed, first.limit, first.remaining), (true, 3, 2));
    assert_eq!(first.retry_after, Duration::ZERO);
    near(first.reset_after, 60);

    fixture.pass(account, Duration::from_secs(20)).await;
    let second = there.check(account, 3).await.unwrap();
    assert_eq!((second.allowed, second.remaining), (true, 1));
    near(second.reset_after, 40);

    let third = here.check(account, 3).await.unwrap();
    assert_eq!((third.allowed, third.remaining), (true, 0));

    fixture.pass(account, Duration::from_secs(10)).await;
    let refused = there.check(account, 3).await.unwrap();
    assert_eq!((refused.allowed, refused.limit, refused.remaining), (false, 3, 0));
    near(refused.retry_after, 30);
    assert_eq!(refused.retry_after, refused.reset_after);
}

pub async fn accounts_do_not_touch_each_other(fixture: impl LimiterFixture) {
    let (one, two, [here, there]) = (account(), account(), fixture.limiters());
    assert!(here.check(one, 1).await.unwrap().allowed);
    assert!(!there.check(one, 1).await.unwrap().allowed);
    assert!(there.check(two, 1).await.unwrap().allowed);
}

pub async fn whoever_waits_as_told_is_accepted(fixture: impl LimiterFixture) {
    let (account, [here, there]) = (account(), fixture.limiters());
    for _ in 0..2 {
        assert!(here.check(account, 2).await.unwrap().allowed);
        fixture.pass(account, Duration::from_secs(15)).await;
    }
    let told = there.check(account, 2).await.unwrap();
    assert!(!told.allowed);
    near(told.retry_after, 30);
    fixture.pass(account, Duration::from_secs(15)).await;
    // A refused one leaves no trace: what was told stands.
    assert!(!here.check(account, 2).await.unwrap().allowed);
    fixture.pass(account, told.retry_after - Duration::from_secs(15)).await;
    assert!(here.check(account, 2).await.unwrap().allowed);
    assert!(!here.check(account, 2).await.unwrap().allowed);
}

pub async fn a_lowered_limit_counts_what_has_passed(fixture: impl LimiterFixture) {
    let (account, [here, there]) = (account(), fixture.limiters());
    for _ in 0..4 {
        assert!(here.check(account, 10).await.unwrap().allowed);
        fixture.pass(account, Duration::from_secs(10)).await;
    }
    // Passed 40, 30, 20 and 10 s ago: of two to be allowed, the one 20 s ago must have left.
    let refused = there.check(account, 2).await.unwrap();
    assert_eq!((refused.allowed, refused.limit, refused.remaining), (false, 2, 0));
    near(refused.retry_after, 40);
    fixture.pass(account, refused.retry_after).await;
    assert!(there.check(account, 2).await.unwrap().allowed);
}

pub async fn a_raised_limit_holds_at_once(fixture: impl LimiterFixture) {
    let (account, [here, there]) = (account(), fixture.limiters());
    assert!(here.check(account, 1).await.unwrap().allowed);
    assert!(!here.check(account, 1).await.unwrap().allowed);
    let raised = there.check(account, 3).await.unwrap();
    assert_eq!((raised.allowed, raised.remaining), (true, 1));
}

pub async fn a_limit_of_nothing_lets_nothing_through(fixture: impl LimiterFixture) {
    let (account, [here, _]) = (account(), fixture.limiters());
    let refused = here.check(account, 0).await.unwrap();
    assert_eq!((refused.allowed, refused.remaining), (false, 0));
    assert_eq!(refused.retry_after, domain::rate::WINDOW);
}

/// Bursts around the seams where counters per fixed window double.
pub async fn no_sixty_seconds_hold_more_than_the_limit(fixture: impl LimiterFixture) {
    const LIMIT: u32 = 5;
    let (account, limiters) = (account(), fixture.limiters());
    let (mut clock, mut passed) = (Duration::ZERO, Vec::new());
    for step in 0..60 {
        for attempt in 0..4 {
            if limiters[attempt % 2].check(account, LIMIT).await.unwrap().allowed {
                passed.push(clock);
            }
        }
        let by = Duration::from_secs([1, 28, 2, 29, 7][step % 5]);
        fixture.pass(account, by).await;
        clock += by;
    }
    for (index, start) in passed.iter().enumerate() {
        // The suite's clock stands still while real time passes: a second of tolerance at the window's end.
        let within =
            passed[index..].iter().take_while(|at| **at + Duration::from_secs(1) < *start + domain::rate::WINDOW);
        assert!(within.count() <= LIMIT as usize, "more than {LIMIT} in the 60 s from {start:?}: {passed:?}");
    }
    assert!(passed.len() >= 60, "and it lets through what it may: {}", passed.len());
}

fn near(duration: Duration, seconds: u64) {
    let wanted = Duration::from_secs(seconds);
    assert!(duration <= wanted && duration + SLACK >= wanted, "{duration:?} instead of {wanted:?}");
}
