//! The exact limiter. See [`crate::rate`] for the rule.

use crate::ids::AccountId;
use crate::rate::RateDecision;
use async_trait::async_trait;

/// The limiter did not answer in time; the caller goes on with its own count.
#[derive(Debug, thiserror::Error)]
#[error("the rate limiter is out of reach: {0}")]
pub struct LimiterError(pub String);

#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Asks for one request of `account` within `limit` in any 60 seconds, counted over all gateways.
    async fn check(&self, account: AccountId, limit: u32) -> Result<RateDecision, LimiterError>;

    /// Told now and then: how many gateways share each limit. It matters only to a limiter that can be cut off from the others.
    fn shared_by(&self, _gateways: u32) {}

    /// Whether this gateway counts by itself at the moment, because what all gateways share does not answer.
    fn is_alone(&self) -> bool {
        false
    }
}
