//! The exact limiter within one process: [`domain::rate`] behind sharded locks, on the process's monotonic clock.
//!
//! It forgets with the process: after a restart each account starts with an empty window.

use async_trait::async_trait;
use domain::ids::AccountId;
use domain::ports::RateLimiter;
use domain::ports::limiter::LimiterError;
use domain::rate::{RateDecision, SlidingWindow, WINDOW};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

const SHARDS: usize = 16;
/// Accounts with a request in the last minute, in one shard. Past it a check fails rather than being inexact.
const SHARD_MAX: usize = 8_192;

pub struct InProcessLimiter {
    started: Instant,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    windows: HashMap<AccountId, SlidingWindow>,
    /// When idle windows were last dropped, in microseconds since the start.
    swept: u64,
}

impl InProcessLimiter {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), shards: std::array::from_fn(|_| Mutex::default()) })
    }

    /// Microseconds since the start; read under the shard's lock, so that they never go back within a window.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Accounts that are remembered now.
    pub fn remembered(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).windows.len()).sum()
    }
}

#[async_trait]
impl RateLimiter for InProcessLimiter {
    async fn check(&self, account: AccountId, limit: u32) -> Result<RateDecision, LimiterError> {
        // The last bits of a UUIDv7 are random.
        let shard = &self.shards[(account.uuid().as_u128() % SHARDS as u128) as usize];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let window = u64::try_from(WINDOW.as_micros()).unwrap_or(u64::MAX);
        let new = !shard.windows.contains_key(&account);
        let every = if shard.windows.len() < SHARD_MAX { window } else { window / 60 };
        if new && shard.swept.saturating_add(every) <= now {
            shard.windows.retain(|_, window| !window.is_idle(now));
            shard.swept = now;
        }
        if new && shard.windows.len() >= SHARD_MAX {
            return Err(LimiterError("too many accounts at once".into()));
        }
        Ok(shard.windows.entry(account).or_default().check(now, limit))
    }
}
