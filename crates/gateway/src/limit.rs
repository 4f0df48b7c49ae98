//! How often an account may ask, over all gateways: the shared limiter decides, and every answer says where the account stands.
//!
//! When the shared limiter does not answer, the gateway goes on with its own exact window: never unlimited, never closed. The bound that
//! then holds is in `docs/limits.md`.

use crate::metrics::Metrics;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use domain::Timestamp;
use domain::ids::AccountId;
use domain::ports::RateLimiter;
use domain::rate::{RateDecision, SlidingWindow};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The adapter has its own, shorter budget; this one is for an adapter that forgot.
const ANSWERS_WITHIN: Duration = Duration::from_millis(250);
/// Accounts whose own window is kept before idle ones are forgotten.
const WINDOWS_USUAL: usize = 10_000;
const SAID_EVERY: Duration = Duration::from_secs(60);

pub(crate) struct Limits {
    shared: Arc<dyn RateLimiter>,
    metrics: Arc<Metrics>,
    began: Instant,
    own: Mutex<Own>,
}

#[derive(Default)]
struct Own {
    windows: HashMap<AccountId, SlidingWindow>,
    said: Option<Instant>,
}

impl Limits {
    pub(crate) fn new(shared: Arc<dyn RateLimiter>, metrics: Arc<Metrics>) -> Self {
        Self { shared, metrics, began: Instant::now(), own: Mutex::default() }
    }

    pub(crate) async fn check(&self, account: AccountId, limit: u32) -> RateDecision {
        let failed = match timeout(ANSWERS_WITHIN, self.shared.check(account, limit)).await {
            Ok(Ok(decision)) => {
                self.metrics.limiter_fallback.set(0);
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
        if own.windows.len() >= WINDOWS_USUAL {
            own.windows.retain(|_, window| !window.is_idle(now));
        }
        own.windows.entry(account).or_default().check(now, limit)
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
