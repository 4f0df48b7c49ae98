//! How often one client address may come without a valid key. Valid keys are limited by account, in [`crate::limit`].

use crate::address::ClientAddress;
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

/// Addresses remembered at once; beyond it, new ones share one allowance.
const ADDRESSES_MOST: usize = 100_000;
/// How often addresses with a full allowance are forgotten.
pub(crate) const FORGET_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Strangers {
    limiter: RateLimiter<IpAddr, DashMapStateStore<IpAddr>, DefaultClock>,
    clock: DefaultClock,
}

impl Strangers {
    pub(crate) fn new(per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        Self { limiter: RateLimiter::dashmap(quota), clock: DefaultClock::default() }
    }

    /// Counts one request without a valid key; `Err` is how long to wait.
    pub(crate) fn count(&self, address: ClientAddress) -> Result<(), Duration> {
        let known = self.limiter.len() < ADDRESSES_MOST;
        let key = if known { address.group() } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        self.limiter.check_key(&key).map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    pub(crate) fn forget(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}
