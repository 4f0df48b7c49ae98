//! What the book knows of one token and of one lease.

use crate::health::{Health, State};
use crate::pace::Pace;
use domain::Timestamp;
use domain::ids::{LeaseId, TokenId, WorkerId};

/// A token, as the book takes it in.
#[derive(Debug, Clone)]
pub struct Terms {
    pub id: TokenId,
    /// Leases at once, at least 1.
    pub max_concurrency: u32,
    pub requests_per_minute: Option<u32>,
    pub expires_at: Option<Timestamp>,
    pub health: Health,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Granted here, not yet seen in the ledger.
    Granted,
    /// Seen in a work row, owned so.
    Named { owner: Option<WorkerId> },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) token: TokenId,
    /// Whom the secret was given to, as far as this book knows.
    pub(super) holder: Option<WorkerId>,
    /// The holder asked for any token, not for this one.
    pub(super) by_count: bool,
    pub(super) granted_at: Timestamp,
    pub(super) standing: Standing,
}

/// Whether it rests, then the share of its concurrency in use, then how long ago it was used, then its id.
pub(super) type Place = (bool, u64, u64, TokenId);

pub(super) struct Entry {
    pub(super) terms: Terms,
    pub(super) pace: Option<Pace>,
    /// The pace allows no start before this.
    pub(super) paced_until: Option<Timestamp>,
    pub(super) leases: Vec<LeaseId>,
    pub(super) trial: Option<LeaseId>,
    pub(super) last_used: u64,
    /// Leases begun since the last rotation.
    pub(super) begun: u32,
    /// Used more than its share of late: the others come first until the next rotation.
    pub(super) rests: bool,
    pub(super) fence: u64,
    pub(super) place: Option<Place>,
    pub(super) recovery: Option<Timestamp>,
}

impl Entry {
    pub(super) fn leased(&self) -> u32 {
        u32::try_from(self.leases.len()).unwrap_or(u32::MAX)
    }

    /// May it be leased now, its pace aside?
    pub(super) fn open(&self) -> bool {
        let health = match self.terms.health.state {
            State::Usable => true,
            State::HalfOpen => self.trial.is_none(),
            _ => false,
        };
        health && self.leased() < self.terms.max_concurrency
    }

    pub(super) fn recovery(&self) -> Option<Timestamp> {
        match self.terms.health.state {
            State::Cooling { until } => Some(until),
            State::Usable | State::HalfOpen => self.paced_until,
            _ => None,
        }
    }
}
