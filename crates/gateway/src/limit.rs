//! How often an account may ask, over all gateways: the shared limiter decides, and every answer says where the account stands.
//!
//! An adapter that can be cut off from the others goes on by itself and says so. Should it fail nevertheless, the gateway goes on with an
//! exact window of its own and its share of the limit: never unlimited, never closed. The bounds that then hold are in `docs/limits.md`.

use crate::metrics::Metrics;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use domain::Timestamp;
use domain::ids::AccountId;
use domain::ports::RateLimiter;
use domain::rate::{RateDecision, SlidingWindow};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The adapter has its own, much shorter budget; this one is for an adapter that forgot.
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);
/// Accounts whose own window is kept. Beyond that, new ones wait until idle ones are forgotten.
const WINDOWS_MOST: usize = 50_000;
const FORGET_EVERY: Duration = Duration::from_secs(1);
const SAID_EVERY: Duration = Duration::from_secs(60);

pub(crate) struct Limits {
    shared: Arc<dyn RateLimiter>,
    metrics: Arc<Metrics>,
    began: Instant,
    gateways: AtomicU32,
    own: Mutex<Own>,
}

#[derive(Default)]
struct Own {
    windows: HashMap<AccountId, SlidingWindow>,
    forgot: Option<Instant>,
    said: Option<Instant>,
}

impl Limits {
    pub(crate) fn new(shared: Arc<dyn RateLimiter>, metrics: Arc<Metrics>) -> Self {
        Self { shared, metrics, began: Instant::now(), gateways: AtomicU32::new(1), own: Mutex::default() }
    }

    /// So many gateways share each limit.
    pub(crate) fn shared_by(&self, gateways: u32) {
        self.gateways.store(gateways, Ordering::Relaxed);
        self.shared.shared_by(gateways);
    }

    /// How many share each limit, as far as this one knows.
    pub(crate) fn gateways(&self) -> u32 {
        self.gateways.load(Ordering::Relaxed)
    }

    /// For the metric, when nobody asks.
    pub(crate) fn show(&self) {
        self.metrics.limiter_fallback.set(i64::from(self.shared.is_alone()));
    }

    pub(crate) async fn check(&self, account: AccountId, limit: u32) -> RateDecision {
        let failed = match timeout(ANSWERS_WITHIN, self.shared.check(account, limit)).await {
            Ok(Ok(decision)) => {
                self.show();
                return decision;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the rate limiter did not answer in time".to_owned(),
        };
        self.metrics.limiter_fallback.set(1);
        self.own_check(account, limit, &failed)
    }

    fn own_check(&self, account: AccountId, limit: u32, failed: &str) -> RateDecision {
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            own.said = Some(Instant::now());
            tracing::warn!(error = failed, "limiting by this gateway's own count");
        }
        if own.windows.len() >= WINDOWS_MOST && !own.windows.contains_key(&account) {
            if own.forgot.is_none_or(|forgot| forgot.elapsed() >= FORGET_EVERY) {
                own.forgot = Some(Instant::now());
                own.windows.retain(|_, window| !window.is_idle(now));
            }
            if own.windows.len() >= WINDOWS_MOST {
                let wait = FORGET_EVERY;
                return RateDecision { allowed: false, limit, remaining: 0, reset_after: wait, retry_after: wait };
            }
        }
        let share = if limit == 0 { 0 } else { (limit / self.gateways.load(Ordering::Relaxed).max(1)).max(1) };
        RateDecision { limit, ..own.windows.entry(account).or_default().check(now, share) }
    }
}

/// Whole seconds, rounded up: a client that waits them is never early.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// The standard headers (draft-ietf-httpapi-ratelimit-headers-10) and the older ones.
pub(crate) fn write_headers(decision: &RateDecision, now: Timestamp, headers: &mut HeaderMap) {
    let RateDecision { limit, remaining, .. } = *decision;
    let reset = seconds(decision.reset_after);
    let at = u64::try_from(now.timestamp()).unwrap_or(0) + reset;
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("ratelimit-policy", format!("\"tier\";q={limit};w=60"));
    set("ratelimit", format!("\"tier\";r={remaining};t={reset}"));
    set("x-ratelimit-limit", limit.to_string());
    set("x-ratelimit-remaining", remaining.to_string());
    set("x-ratelimit-reset", at.to_string());
}
