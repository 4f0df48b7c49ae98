//! The in-process limiter keeps the contract, and forgets whoever is idle.

use async_trait::async_trait;
use conformance::limiter::{LimiterFixture, account};
use domain::ids::AccountId;
use domain::ports::RateLimiter;
use embedded::limiter::InProcessLimiter;
use std::sync::Arc;
use std::time::Duration;

struct Fixture(Arc<InProcessLimiter>);

#[async_trait]
impl LimiterFixture for Fixture {
    fn limiters(&self) -> [Arc<dyn RateLimiter>; 2] {
        [self.0.clone(), self.0.clone()]
    }

    async fn pass(&self, _account: AccountId, by: Duration) {
        tokio::time::advance(by).await;
    }
}

/// On a clock that stands still unless it is told to go on.
fn fixture() -> Fixture {
    tokio::time::pause();
    Fixture(InProcessLimiter::new())
}

conformance::limiter_suite!(std::future::ready(fixture()));

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_pass_no_more_than_the_limit_together() {
    conformance::limiter::exactly_the_limit_of_many_at_once_passes(Fixture(InProcessLimiter::new())).await;
}

#[tokio::test]
async fn idle_accounts_are_forgotten() {
    let Fixture(limiter) = fixture();
    for _ in 0..2_000 {
        limiter.check(account(), 10).await.unwrap();
    }
    assert_eq!(limiter.remembered(), 2_000);
    tokio::time::advance(Duration::from_secs(61)).await;
    for _ in 0..1_000 {
        limiter.check(account(), 10).await.unwrap();
    }
    assert!(limiter.remembered() <= 1_000, "{}", limiter.remembered());
}
