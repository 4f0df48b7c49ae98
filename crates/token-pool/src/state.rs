//! What the pool remembers, behind one mutex that is never held across an await: the role, the book, the opened secrets, who waits, and
//! what is still to be written to the ledger.

use crate::health::reason;
use crate::lease_book::{Given, Grant, LeaseBook, Terms};
use crate::refused::Refused;
use domain::Timestamp;
use domain::ids::{LeaseId, TokenId, WorkerId};
use domain::lease::LeaseWatch;
use domain::ports::tokens::Epoch;
use domain::token::{TokenLease, TokenView, Wanted};
use secrecy::SecretString;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Beyond these, who asks is told at once that the pool is dry.
pub(crate) const WAITERS_MAX: usize = 1_024;

pub(crate) enum Role {
    Follower {
        leader: String,
    },
    Leader {
        epoch: Epoch,
        watch: LeaseWatch,
        /// `None`: the ledger has been counted and grants are made. Else when an earlier leader's grants are over.
        settles: Option<Instant>,
    },
}

/// What the book does not need to know of a token.
pub(crate) struct Card {
    pub(crate) label: Option<String>,
    /// `None`: its row does not open.
    pub(crate) secret: Option<SecretString>,
    /// Of its secret under this process's key, whatever its row was imported under.
    pub(crate) fingerprint: Option<[u8; 32]>,
    /// The encryption key that its row is sealed by.
    pub(crate) key_id: String,
    pub(crate) created_at: Timestamp,
}

pub(crate) struct Waiter {
    pub(crate) owner: WorkerId,
    pub(crate) wanted: Wanted,
    pub(crate) answer: oneshot::Sender<Vec<TokenLease>>,
}

/// A write that the ledger owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsaved {
    /// Its state, as it is when it is written.
    State,
    Deletion,
}

pub(crate) struct State {
    pub(crate) role: Role,
    pub(crate) book: LeaseBook,
    pub(crate) cards: HashMap<TokenId, Card>,
    pub(crate) waiters: VecDeque<Waiter>,
    pub(crate) unsaved: BTreeMap<TokenId, Unsaved>,
    /// Who wants to know that a token's state is stored.
    pub(crate) saved: HashMap<TokenId, Vec<oneshot::Sender<()>>>,
    /// The epoch that the book belongs to.
    pub(crate) book_epoch: Option<Epoch>,
    /// The ledger may hold tokens that the book does not: an import's answer was lost.
    pub(crate) behind: bool,
    /// The ledger's time never goes back in here.
    pub(crate) latest: Timestamp,
    pub(crate) grant: Duration,
    /// The last word on the pool's size, so that a change is said once.
    pub(crate) was_low: Option<bool>,
}

impl State {
    /// The epoch, where this replica leads and may still act on it.
    pub(crate) fn leading(&self) -> Result<Epoch, Refused> {
        match &self.role {
            Role::Follower { leader } => Err(Refused::NotLeader { leader: leader.clone() }),
            // A leader that was paused may have been succeeded: it grants nothing until it has renewed.
            Role::Leader { epoch, watch, .. } if watch.may_start(Instant::now()) => Ok(*epoch),
            Role::Leader { .. } => Err(Refused::NotLeader { leader: String::new() }),
        }
    }

    /// How long until grants of an earlier leader are over; `None`: they are, and the ledger has been counted.
    pub(crate) fn settling(&self) -> Option<Duration> {
        match &self.role {
            Role::Leader { settles: Some(at), .. } => Some(at.saturating_duration_since(Instant::now())),
            _ => None,
        }
    }

    pub(crate) fn lease(&self, grant: Grant) -> Option<TokenLease> {
        let secret = self.cards.get(&grant.token_id)?.secret.clone()?;
        Some(TokenLease {
            lease_id: grant.lease_id,
            token_id: grant.token_id,
            secret,
            fencing_token: grant.fencing_token,
            expires_in: self.grant,
        })
    }

    /// What can be given at once. Empty: nothing.
    pub(crate) fn give(&mut self, owner: WorkerId, wanted: &Wanted, now: Timestamp) -> Vec<TokenLease> {
        if self.leading().is_err() || self.settling().is_some() {
            return Vec::new();
        }
        let new_id = || LeaseId::new(now, rand::random());
        let grants = match wanted {
            Wanted::Count(count) => self.book.grant(owner, *count, now, new_id),
            Wanted::Token(token) => match self.book.grant_token(owner, *token, now, new_id()) {
                Given::Granted(grant) => vec![grant],
                Given::Dry { .. } | Given::NoSuchToken => Vec::new(),
            },
        };
        grants.into_iter().filter_map(|grant| self.lease(grant)).collect()
    }

    /// Gives what has become free to those who wait, first come, first served.
    pub(crate) fn serve_waiters(&mut self, now: Timestamp) {
        let mut dry = false;
        for _ in 0..self.waiters.len() {
            let Some(waiter) = self.waiters.pop_front() else { return };
            if waiter.answer.is_closed() {
                continue;
            }
            // One that wants a certain token never stands before those that take any.
            if dry && matches!(waiter.wanted, Wanted::Count(_)) {
                self.waiters.push_back(waiter);
                continue;
            }
            let leases = self.give(waiter.owner, &waiter.wanted, now);
            if leases.is_empty() {
                dry |= matches!(waiter.wanted, Wanted::Count(_));
                self.waiters.push_back(waiter);
            } else if let Err(unwanted) = waiter.answer.send(leases) {
                self.take_back(&unwanted, now);
            }
        }
    }

    /// Leases that nobody received.
    pub(crate) fn take_back(&mut self, leases: &[TokenLease], now: Timestamp) {
        for lease in leases {
            self.book.release(lease.lease_id, domain::token::LeaseOutcome::Abandoned, now);
        }
    }

    /// A token's state is to be written.
    pub(crate) fn owe(&mut self, token: TokenId) {
        self.unsaved.entry(token).or_insert(Unsaved::State);
    }

    fn view_of(&self, terms: &Terms, leased: u32) -> Option<TokenView> {
        let card = self.cards.get(&terms.id)?;
        let (state, until, reason) = terms.health.row();
        let reason = reason.or_else(|| self.book.rests(terms.id).then(|| reason::RESTS.to_owned()));
        Some(TokenView {
            id: terms.id,
            label: card.label.clone(),
            state,
            until,
            reason,
            max_concurrency: terms.max_concurrency,
            requests_per_minute: terms.requests_per_minute,
            leased,
            expires_at: terms.expires_at,
            created_at: card.created_at,
        })
    }

    pub(crate) fn view(&self, token: TokenId) -> Option<TokenView> {
        self.book.token(token).and_then(|(terms, leased)| self.view_of(terms, leased))
    }

    pub(crate) fn views(&self) -> Vec<TokenView> {
        let mut views: Vec<_> = self.book.tokens().filter_map(|(terms, leased)| self.view_of(terms, leased)).collect();
        views.sort_by_key(|view| view.id);
        views
    }
}
