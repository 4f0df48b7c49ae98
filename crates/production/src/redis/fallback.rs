//! Never unlimited, never closed: the limiter that goes on without Redis.
//!
//! It always remembers what this gateway let through in the last 60 seconds. While Redis fails, a gateway allows its share of each limit,
//! that memory counted: max(1, limit ÷ live gateways). When Redis is back it is told what it missed *before* it is asked again, so
//! a switch adds at most one limit to a window. The bound when Redis loses its data: twice the limit plus the number of gateways, in
//! that one window.

use super::breaker::PROBE_EVERY;
use super::limiter::RedisLimiter;
use super::mirror::Mirror;
use async_trait::async_trait;
use domain::ids::AccountId;
use domain::ports::RateLimiter;
use domain::ports::limiter::LimiterError;
use domain::rate::RateDecision;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How often it says that it works without Redis.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Passes told in one call.
const AT_ONCE: usize = 1_000;

pub struct FallbackLimiter {
    inner: Arc<Inner>,
    _healer: DropGuard,
}

struct Inner {
    redis: Arc<RedisLimiter>,
    mirror: Mirror,
    /// How many gateways share each limit, as last told.
    gateways: AtomicU32,
    /// Redis failed, and has not been told yet what it may have missed.
    active: AtomicBool,
    /// Set by each failure, cleared before Redis is told: what comes while it is being told is told again.
    behind: AtomicBool,
    failed: Notify,
}

impl FallbackLimiter {
    /// `gateways`: how many share each limit until it is told by [`RateLimiter::shared_by`].
    pub fn new(redis: Arc<RedisLimiter>, gateways: u32) -> Arc<Self> {
        let inner = Arc::new(Inner {
            redis,
            mirror: Mirror::new(),
            gateways: AtomicU32::new(gateways),
            active: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            failed: Notify::new(),
        });
        let closing = CancellationToken::new();
        let healer = Arc::clone(&inner);
        TaskTracker::new().spawn(closing.clone().run_until_cancelled_owned(async move { healer.heal().await }));
        Arc::new(Self { inner, _healer: closing.drop_guard() })
    }
}

#[async_trait]
impl RateLimiter for FallbackLimiter {
    async fn check(&self, account: AccountId, limit: u32) -> Result<RateDecision, LimiterError> {
        let inner = &self.inner;
        if let Some(refused) = inner.mirror.refused(account, limit) {
            return Ok(refused);
        }
        let pass = inner.redis.next_pass();
        let asked = Instant::now();
        if !inner.redis.breaker.is_open() {
            match inner.redis.ask(account, limit, pass).await {
                Ok(decision) => {
                    if decision.allowed {
                        inner.mirror.record(account, pass);
                    } else {
                        inner.mirror.refuse(account, limit, asked, decision.retry_after);
                    }
                    return Ok(decision);
                }
                Err(_) => inner.fell_behind(),
            }
        }
        inner.alone(account, limit, pass)
    }

    fn shared_by(&self, gateways: u32) {
        self.inner.gateways.store(gateways, Ordering::Relaxed);
    }

    fn is_alone(&self) -> bool {
        self.inner.active.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// This gateway's share of the limit. The pass keeps its name: where Redis counted it and was only late to say so, it counts once.
    fn alone(&self, account: AccountId, limit: u32, pass: u64) -> Result<RateDecision, LimiterError> {
        let gateways = self.gateways.load(Ordering::Relaxed).max(1);
        let share = if limit == 0 { 0 } else { (limit / gateways).max(1) };
        let decision = self.mirror.check(account, share, pass);
        let decision = decision.ok_or_else(|| LimiterError("too many accounts at once".into()))?;
        if decision.allowed {
            self.fell_behind();
        }
        Ok(RateDecision { limit, ..decision })
    }

    fn fell_behind(&self) {
        self.behind.store(true, Ordering::Relaxed);
        self.active.store(true, Ordering::Relaxed);
        self.failed.notify_one();
    }

    /// After a failure, and once a second until it succeeds: tells Redis everything this gateway let through, then closes the breaker.
    async fn heal(&self) {
        let mut warned: Option<Instant> = None;
        loop {
            self.failed.notified().await;
            let since = Instant::now();
            let mut said = false;
            while self.behind.swap(false, Ordering::Relaxed) || self.redis.breaker.is_open() {
                if let Err(error) = self.tell().await {
                    self.behind.store(true, Ordering::Relaxed);
                    if warned.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
                        tracing::warn!(%error, "Redis fails; limits are this gateway's own share");
                        warned = Some(Instant::now());
                        said = true;
                    }
                    tokio::time::sleep(PROBE_EVERY).await;
                    continue;
                }
                self.redis.breaker.close();
            }
            self.active.store(false, Ordering::Relaxed);
            if said {
                tracing::info!(after = ?since.elapsed(), "Redis answers again; limits are shared by all gateways");
            }
            // Single late answers are not worth more than one round a second.
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    async fn tell(&self) -> Result<(), LimiterError> {
        self.redis.ping().await?;
        let mut shard = 0;
        while let Some(accounts) = self.mirror.remembered(shard) {
            for (account, passes) in accounts {
                for some in passes.chunks(AT_ONCE) {
                    self.redis.merge(account, some).await?;
                }
            }
            shard += 1;
        }
        Ok(())
    }
}
