//! What this gateway itself let through in the last 60 seconds, whoever counted it; and which accounts Redis has refused, and until when.
//!
//! Each pass has a name, so that Redis can be told of it any number of times and counts it once. What Redis has refused it goes on to
//! refuse until the moment that it named, for passes are only ever added: until then it need not be asked.

use domain::ids::AccountId;
use domain::rate::{RateDecision, SlidingWindow, WINDOW};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SHARDS: usize = 16;
/// Accounts with a pass in the last minute, in one shard. Past it a newcomer is limited by Redis alone, and refused without it.
const SHARD_MAX: usize = 8_192;

pub(super) struct Mirror {
    started: Instant,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    accounts: HashMap<AccountId, Passes>,
    /// When idle accounts were last dropped, in microseconds since the start.
    swept: u64,
}

#[derive(Default)]
struct Passes {
    window: SlidingWindow,
    named: VecDeque<(u64, u64)>,
    full: Option<Full>,
}

/// Nobody passes within this limit.
#[derive(Clone, Copy)]
struct Full {
    limit: u32,
    /// For certain until then, counted from when Redis was asked,
    until: u64,
    /// and no longer than until then, counted from its answer: what a client is told.
    told: u64,
}

/// One account's passes, as ages in microseconds and numbers.
pub(super) type Remembered = (AccountId, Vec<(u64, u64)>);

impl Mirror {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Another one has let this pass through.
    pub(super) fn record(&self, account: AccountId, pass: u64) {
        self.check(account, u32::MAX, pass);
    }

    /// Decides by the passes here alone. `None`: too many accounts to remember one more.
    pub(super) fn check(&self, account: AccountId, limit: u32, pass: u64) -> Option<RateDecision> {
        let mut shard = self.shard(account);
        let now = self.now();
        shard.sweep(now, account);
        if shard.accounts.len() >= SHARD_MAX && !shard.accounts.contains_key(&account) {
            return None;
        }
        let passes = shard.accounts.entry(account).or_default();
        passes.trim(now);
        let decision = passes.window.check(now, limit);
        if decision.allowed {
            passes.named.push_back((now, pass));
        }
        Some(decision)
    }

    /// Redis was asked at `asked` and refused, for `wait` from the moment that it decided.
    pub(super) fn refuse(&self, account: AccountId, limit: u32, asked: Instant, wait: Duration) {
        let mut shard = self.shard(account);
        let now = self.now();
        shard.sweep(now, account);
        if shard.accounts.len() >= SHARD_MAX && !shard.accounts.contains_key(&account) {
            return;
        }
        let until = micros(asked.saturating_duration_since(self.started)).saturating_add(micros(wait));
        let full = Full { limit, until, told: now.saturating_add(micros(wait)) };
        let known = &mut shard.accounts.entry(account).or_default().full;
        if known.is_none_or(|known| known.limit != limit || known.until < until) {
            *known = Some(full);
        }
    }

    /// What Redis would say: that nobody passes within this limit. `None`: it must be asked.
    pub(super) fn refused(&self, account: AccountId, limit: u32) -> Option<RateDecision> {
        let shard = self.shard(account);
        let now = self.now();
        let full = shard.accounts.get(&account)?.full.filter(|full| full.limit == limit && full.until > now)?;
        let wait = Duration::from_micros(full.told.saturating_sub(now));
        Some(RateDecision { allowed: false, limit, remaining: 0, reset_after: wait, retry_after: wait })
    }

    /// Accounts of one shard with their passes; `None` past the last shard.
    pub(super) fn remembered(&self, shard: usize) -> Option<Vec<Remembered>> {
        let mut shard = self.shards.get(shard)?.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let remembered = shard.accounts.iter_mut().map(|(account, passes)| {
            passes.trim(now);
            (*account, passes.named.iter().map(|(at, pass)| (now.saturating_sub(*at), *pass)).collect())
        });
        Some(remembered.filter(|(_, passes): &Remembered| !passes.is_empty()).collect())
    }

    /// The last bits of a UUIDv7 are random.
    fn shard(&self, account: AccountId) -> MutexGuard<'_, Shard> {
        self.shards[(account.uuid().as_u128() % SHARDS as u128) as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        micros(self.started.elapsed())
    }
}

impl Shard {
    /// Drops idle accounts: once a window, and once a second where there is no room.
    fn sweep(&mut self, now: u64, newcomer: AccountId) {
        let every = if self.accounts.len() < SHARD_MAX { window() } else { window() / 60 };
        if self.swept.saturating_add(every) <= now && !self.accounts.contains_key(&newcomer) {
            self.accounts.retain(|_, passes| !passes.is_idle(now));
            self.swept = now;
        }
    }
}

impl Passes {
    fn is_idle(&self, now: u64) -> bool {
        self.window.is_idle(now) && self.full.is_none_or(|full| full.told <= now)
    }

    fn trim(&mut self, now: u64) {
        while self.named.front().is_some_and(|(at, _)| at.saturating_add(window()) <= now) {
            self.named.pop_front();
        }
    }
}

fn window() -> u64 {
    micros(WINDOW)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
