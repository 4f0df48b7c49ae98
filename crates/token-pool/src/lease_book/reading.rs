//! Bringing the book in line with the ledger's work rows, which are the leases. Other things happen while they are read.

use super::LeaseBook;
use super::entry::{Lease, Standing};
use crate::health::Event;
use domain::Timestamp;
use domain::ids::{LeaseId, TokenId};
use domain::token::NamedLease;
use std::collections::HashSet;

/// Names one reading of the ledger: the last that began is the one that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

pub(super) struct Reading {
    pub(super) ticket: Ticket,
    pub(super) begun: Timestamp,
    /// What came back while the ledger was being read: its answer may still name it.
    pub(super) released: HashSet<LeaseId>,
}

/// What a reading of the ledger changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Named by the ledger, unknown here: a failover or a restart.
    pub added: usize,
    /// Named once, no longer.
    pub gone: usize,
    /// Granted and never named.
    pub lapsed: usize,
    /// Tokens whose stored state is to be written.
    pub changed: Vec<TokenId>,
}

impl LeaseBook {
    /// The ledger's work rows are about to be read.
    pub fn reading_begins(&mut self, now: Timestamp) -> Ticket {
        self.turn += 1;
        let ticket = Ticket(self.turn);
        self.reading = Some(Reading { ticket, begun: now, released: HashSet::new() });
        ticket
    }

    /// What the reading found. `None`: another one has begun since; nothing was changed.
    pub fn reading_ends(&mut self, ticket: Ticket, named: &[NamedLease], now: Timestamp) -> Option<Reconciled> {
        let reading = self.reading.take_if(|reading| reading.ticket == ticket)?;
        self.tick(now);
        let mut done = Reconciled::default();
        let mut seen = HashSet::with_capacity(named.len());
        for name in named {
            seen.insert(name.lease_id);
            if let Some(lease) = self.leases.get_mut(&name.lease_id) {
                lease.standing = Standing::Named { owner: name.owner };
            } else if !reading.released.contains(&name.lease_id)
                && let Some(entry) = self.tokens.get_mut(&name.token_id)
            {
                entry.leases.push(name.lease_id);
                let lease = Lease {
                    token: name.token_id,
                    // Whoever owned it at first sight was given it by an earlier leader.
                    holder: name.owner,
                    by_count: false,
                    granted_at: now,
                    standing: Standing::Named { owner: name.owner },
                };
                self.leases.insert(name.lease_id, lease);
                self.refile(name.token_id);
                done.added += 1;
            }
        }
        let over: Vec<(LeaseId, bool)> = self
            .leases
            .iter()
            .filter(|(id, _)| !seen.contains(id))
            .filter_map(|(id, lease)| match lease.standing {
                Standing::Named { .. } => Some((*id, true)),
                Standing::Granted => (lease.granted_at + self.hold <= reading.begun).then_some((*id, false)),
            })
            .collect();
        for (id, named) in over {
            self.drop_lease(id);
            *(if named { &mut done.gone } else { &mut done.lapsed }) += 1;
        }
        done.changed = self.pass_trials(now);
        Some(done)
    }

    /// Trials whose submission the upstream evidently took.
    fn pass_trials(&mut self, now: Timestamp) -> Vec<TokenId> {
        let passed: Vec<TokenId> = self
            .tokens
            .iter()
            .filter(|(_, entry)| {
                entry.trial.and_then(|id| self.leases.get(&id)).is_some_and(|lease| {
                    matches!(lease.standing, Standing::Named { .. }) && lease.granted_at + self.policy.trial <= now
                })
            })
            .map(|(id, _)| *id)
            .collect();
        for id in &passed {
            self.happen(*id, &Event::TrialPassed, now);
        }
        passed
    }
}
