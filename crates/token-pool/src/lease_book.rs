//! The leases, as pure data: who may use which token now. Time, ids and outcomes come in as arguments; nothing here waits, stores or
//! opens a secret.
//!
//! A token's use is what the ledger's work rows name plus fresh grants that it does not name yet, and no grant is made past its
//! concurrency. The ledger is read every few seconds: what it names is added, what it no longer names goes, and a grant that it has not
//! named in time goes too.

mod entry;
mod reading;
mod resting;

pub use entry::Terms;
pub use reading::{Reconciled, Ticket};

use crate::health::{Event, Health, Policy, State};
use crate::pace::Pace;
use domain::Timestamp;
use domain::ids::{LeaseId, TokenId, WorkerId};
use domain::ports::tokens::Epoch;
use domain::token::LeaseOutcome;
use entry::{Entry, Lease, Place, Standing};
use reading::Reading;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    pub lease_id: LeaseId,
    pub token_id: TokenId,
    pub fencing_token: u64,
}

/// What came of asking for one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    Granted(Grant),
    /// All its concurrency is in use, or its health forbids it.
    Dry {
        earliest: Option<Timestamp>,
    },
    NoSuchToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// Not held: nothing was changed.
    Unknown,
    /// The token's stored state is to be written where it changed.
    Freed { token: TokenId, changed: bool },
}

pub struct LeaseBook {
    epoch: Epoch,
    policy: Policy,
    /// A grant that a reading begun so long after it does not name has lapsed.
    hold: Duration,
    tokens: HashMap<TokenId, Entry>,
    leases: HashMap<LeaseId, Lease>,
    open: BTreeSet<Place>,
    recoveries: BTreeSet<(Timestamp, TokenId)>,
    expiries: BTreeSet<(Timestamp, TokenId)>,
    turn: u64,
    reading: Option<Reading>,
}

impl LeaseBook {
    pub fn new(epoch: Epoch, policy: Policy, hold: Duration) -> Self {
        Self {
            epoch,
            policy,
            hold,
            tokens: HashMap::new(),
            leases: HashMap::new(),
            open: BTreeSet::new(),
            recoveries: BTreeSet::new(),
            expiries: BTreeSet::new(),
            turn: 0,
            reading: None,
        }
    }

    /// A later epoch of the same leader, with nobody in between: fencing tokens go on growing.
    pub fn set_epoch(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        for entry in self.tokens.values_mut() {
            entry.fence = 0;
        }
    }

    pub fn add(&mut self, terms: Terms, now: Timestamp) {
        let id = terms.id;
        self.remove(id);
        if let Some(at) = terms.expires_at {
            self.expiries.insert((at, id));
        }
        let entry = Entry {
            pace: terms.requests_per_minute.map(|limit| Pace::new(limit, now)),
            terms,
            paced_until: None,
            leases: Vec::new(),
            trial: None,
            last_used: 0,
            begun: 0,
            rests: false,
            fence: 0,
            place: None,
            recovery: None,
        };
        self.tokens.insert(id, entry);
        self.refile(id);
        self.tick(now);
    }

    /// Its leases go with it; their late releases are unknown.
    pub fn remove(&mut self, id: TokenId) -> bool {
        let Some(entry) = self.tokens.remove(&id) else { return false };
        for lease in entry.leases {
            self.leases.remove(&lease);
        }
        if let Some(place) = entry.place {
            self.open.remove(&place);
        }
        if let Some(at) = entry.recovery {
            self.recoveries.remove(&(at, id));
        }
        if let Some(at) = entry.terms.expires_at {
            self.expiries.remove(&(at, id));
        }
        true
    }

    pub fn health(&self, id: TokenId) -> Option<&Health> {
        self.tokens.get(&id).map(|entry| &entry.terms.health)
    }

    /// Each token's terms and how many leases it has, in no order.
    pub fn tokens(&self) -> impl Iterator<Item = (&Terms, u32)> {
        self.tokens.values().map(|entry| (&entry.terms, entry.leased()))
    }

    pub fn token(&self, id: TokenId) -> Option<(&Terms, u32)> {
        self.tokens.get(&id).map(|entry| (&entry.terms, entry.leased()))
    }

    pub fn leased(&self) -> usize {
        self.leases.len()
    }

    /// When the next token returns by time alone, where one does.
    pub fn earliest(&self) -> Option<Timestamp> {
        self.recoveries.first().map(|(at, _)| *at)
    }

    /// When one token returns by time alone.
    pub fn recovery(&self, id: TokenId) -> Option<Timestamp> {
        self.tokens.get(&id).and_then(|entry| entry.recovery)
    }

    /// When time changes anything next.
    pub fn next_change(&self) -> Option<Timestamp> {
        let expiry = self.expiries.first().map(|(at, _)| *at);
        [self.earliest(), expiry].into_iter().flatten().min()
    }

    /// Puts a token where it belongs after any change of it.
    fn refile(&mut self, id: TokenId) {
        let Some(entry) = self.tokens.get_mut(&id) else { return };
        let place = (entry.open() && entry.paced_until.is_none()).then(|| {
            let share = (u64::from(entry.leased()) << 32) / u64::from(entry.terms.max_concurrency.max(1));
            (entry.rests, share, entry.last_used, id)
        });
        if place != entry.place {
            if let Some(old) = entry.place {
                self.open.remove(&old);
            }
            self.open.extend(place);
            entry.place = place;
        }
        let recovery = entry.recovery();
        if recovery != entry.recovery {
            if let Some(old) = entry.recovery {
                self.recoveries.remove(&(old, id));
            }
            self.recoveries.extend(recovery.map(|at| (at, id)));
            entry.recovery = recovery;
        }
    }

    /// What time alone does: cooling ends, the pace allows again, tokens expire. None of it is stored: the rows say as much.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some((at, id)) = self.recoveries.first().copied().filter(|(at, _)| *at <= now) {
            if let Some(entry) = self.tokens.get_mut(&id) {
                entry.paced_until = None;
                entry.terms.health = entry.terms.health.after(&Event::Cooled, now, &self.policy);
            }
            self.refile(id);
            // Whatever became of it, this moment is over.
            self.recoveries.remove(&(at, id));
        }
        while let Some((at, id)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            self.expiries.remove(&(at, id));
            self.happen(id, &Event::Expired, now);
        }
    }

    /// Something happened to a token. Says whether its stored state is to be written.
    pub fn happen(&mut self, id: TokenId, event: &Event, now: Timestamp) -> bool {
        let Some(entry) = self.tokens.get_mut(&id) else { return false };
        let before = entry.terms.health.row();
        entry.terms.health = entry.terms.health.after(event, now, &self.policy);
        if entry.terms.health.state != State::HalfOpen {
            entry.trial = None;
        }
        let changed = entry.terms.health.row() != before && entry.terms.health.state != State::Expired;
        self.refile(id);
        changed
    }

    fn issue(
        &mut self,
        id: TokenId,
        owner: WorkerId,
        by_count: bool,
        lease_id: LeaseId,
        now: Timestamp,
    ) -> Option<Grant> {
        let entry = self.tokens.get_mut(&id)?;
        self.turn += 1;
        entry.last_used = self.turn;
        entry.begun = entry.begun.saturating_add(1);
        entry.leases.push(lease_id);
        if entry.terms.health.state == State::HalfOpen {
            entry.trial = Some(lease_id);
        }
        let lease = Lease { token: id, holder: Some(owner), by_count, granted_at: now, standing: Standing::Granted };
        self.leases.insert(lease_id, lease);
        let fencing_token = self.fence(id)?;
        self.refile(id);
        Some(Grant { lease_id, token_id: id, fencing_token })
    }

    fn fence(&mut self, id: TokenId) -> Option<u64> {
        let entry = self.tokens.get_mut(&id)?;
        entry.fence += 1;
        Some((u64::try_from(self.epoch.0).unwrap_or(0) << 40) + entry.fence)
    }

    /// Its pace, asked for one start. `false`: not before `paced_until`, and it is filed so.
    fn start(&mut self, id: TokenId, now: Timestamp) -> bool {
        let Some(entry) = self.tokens.get_mut(&id) else { return false };
        let Some(Err(wait)) = entry.pace.as_mut().map(|pace| pace.start(now)) else { return true };
        entry.paced_until = Some(now + wait);
        self.refile(id);
        false
    }

    /// At most `count` leases, each of the token with the least of its concurrency in use, the longest unused first among equals. Those
    /// that rest come after all others.
    pub fn grant(
        &mut self,
        owner: WorkerId,
        count: u32,
        now: Timestamp,
        mut new_id: impl FnMut() -> LeaseId,
    ) -> Vec<Grant> {
        self.tick(now);
        let mut grants = Vec::new();
        while grants.len() < count as usize
            && let Some((_, _, _, id)) = self.open.first().copied()
        {
            if self.start(id, now) {
                grants.extend(self.issue(id, owner, true, new_id(), now));
            }
        }
        grants
    }

    /// The lease of adopted work: named by the ledger as `owner`'s, and not yet in its hands.
    pub fn attach(&mut self, owner: WorkerId, token: TokenId, again: bool) -> Option<Grant> {
        let entry = self.tokens.get(&token)?;
        let lease_id = entry.leases.iter().copied().find(|id| {
            self.leases.get(id).is_some_and(|lease| {
                let mine = lease.standing == Standing::Named { owner: Some(owner) };
                mine && if again { !lease.by_count } else { lease.holder != Some(owner) }
            })
        })?;
        if let Some(lease) = self.leases.get_mut(&lease_id) {
            lease.holder = Some(owner);
            lease.by_count = false;
        }
        let fencing_token = self.fence(token)?;
        Some(Grant { lease_id, token_id: token, fencing_token })
    }

    /// One token, for work that counts against it already (its lease is attached, whatever the token's health: it is the only one that
    /// can end that work), or that may be known under it (a fresh lease, within its concurrency and health).
    pub fn grant_token(&mut self, owner: WorkerId, token: TokenId, now: Timestamp, lease_id: LeaseId) -> Given {
        self.tick(now);
        if let Some(grant) = self.attach(owner, token, false) {
            return Given::Granted(grant);
        }
        let Some(entry) = self.tokens.get(&token) else { return Given::NoSuchToken };
        if entry.open()
            && entry.paced_until.is_none()
            && self.start(token, now)
            && let Some(grant) = self.issue(token, owner, false, lease_id, now)
        {
            return Given::Granted(grant);
        }
        if let Some(grant) = self.attach(owner, token, true) {
            return Given::Granted(grant);
        }
        let earliest = self.tokens.get(&token).and_then(|entry| entry.recovery);
        Given::Dry { earliest }
    }

    /// Keeps grants from lapsing. Answers which of the leases stand.
    pub fn renew(&mut self, ids: &[LeaseId], now: Timestamp) -> Vec<LeaseId> {
        ids.iter()
            .copied()
            .filter(|id| {
                self.leases.get_mut(id).is_some_and(|lease| {
                    lease.granted_at = lease.granted_at.max(now);
                    true
                })
            })
            .collect()
    }

    fn drop_lease(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.leases.remove(&id)?;
        if let Some(entry) = self.tokens.get_mut(&lease.token) {
            if let Some(index) = entry.leases.iter().position(|other| *other == id) {
                entry.leases.swap_remove(index);
            }
            if entry.trial == Some(id) {
                entry.trial = None;
            }
        }
        self.refile(lease.token);
        Some(lease)
    }

    pub fn release(&mut self, id: LeaseId, outcome: LeaseOutcome, now: Timestamp) -> Released {
        self.tick(now);
        let Some(token) = self.leases.get(&id).map(|lease| lease.token) else { return Released::Unknown };
        let on_trial = self.tokens.get(&token).is_some_and(|entry| entry.trial == Some(id));
        self.drop_lease(id);
        if let Some(reading) = &mut self.reading {
            reading.released.insert(id);
        }
        let event = if on_trial && outcome == LeaseOutcome::Ok { Event::TrialPassed } else { Event::Outcome(outcome) };
        Released::Freed { token, changed: self.happen(token, &event, now) || event == Event::TrialPassed }
    }
}
