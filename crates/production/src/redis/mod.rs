//! Rate limits shared by all gateways, on Redis 7 and later or Valkey: one script a check.
//!
//! Nothing else is kept in Redis, and nothing in it is missed when it is lost: see [`FallbackLimiter`] for what holds then.

mod breaker;
mod fallback;
mod limiter;
mod mirror;

pub use fallback::FallbackLimiter;
pub use limiter::{ConnectError, RedisLimiter};
