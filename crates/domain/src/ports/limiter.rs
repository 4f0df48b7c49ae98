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
}
