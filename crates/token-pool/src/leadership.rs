//! Who leads: a leased row in the ledger with an epoch. The leader renews it, the others watch it, and a new one waits out what the old
//! one may have granted before it grants itself.
//!
//! It need not wait where no such grant can stand: at the first epoch of all, in a process that no worker outlives, and when it
//! succeeds itself with nobody in between, for then it remembers its own grants.

use crate::health::{Event, Health, reason};
use crate::keys::fingerprint;
use crate::lease_book::{LeaseBook, Terms};
use crate::pool::Pool;
use crate::state::{Card, Role, State, Unsaved};
use domain::lease::LeaseWatch;
use domain::ports::StoreError;
use domain::ports::tokens::{Epoch, Leadership};
use domain::token::TokenRecord;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::time::timeout;

fn late(what: &str) -> StoreError {
    StoreError::Unavailable(format!("{what} took too long"))
}

impl Pool {
    pub(crate) async fn keep_leadership(&self) {
        loop {
            let pause = match self.elect().await {
                Ok(()) if self.leads() => self.settings.lead_lease / 4,
                Ok(()) => self.settings.lead_lease / 8,
                Err(error) => {
                    tracing::warn!(%error, "the token pool's leadership could not be renewed");
                    self.step_down_if_over();
                    self.settings.lead_lease / 8
                }
            };
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        let led = self.leads();
        self.step_down("");
        if led
            && let Err(error) = timeout(Duration::from_secs(1), self.store.resign(self.settings.replica))
                .await
                .unwrap_or_else(|_| Err(late("resigning")))
        {
            tracing::warn!(%error, "the leadership was not given up; it ends by itself");
        }
    }

    /// One round: takes, keeps or loses the leadership.
    pub(crate) async fn elect(&self) -> Result<(), StoreError> {
        let lease = self.settings.lead_lease;
        let sent = Instant::now();
        let answer = timeout(lease / 2, self.store.lead(self.settings.replica, &self.settings.address, lease)).await;
        match answer.unwrap_or_else(|_| Err(late("the election")))? {
            Leadership::Follower { leader } => {
                self.step_down(&leader);
                Ok(())
            }
            Leadership::Leader(epoch) => {
                if self.renewed(epoch, sent) {
                    return Ok(());
                }
                self.take_over(epoch, sent).await
            }
        }
    }

    fn renewed(&self, won: Epoch, sent: Instant) -> bool {
        match &mut self.state().role {
            Role::Leader { epoch, watch, .. } if *epoch == won => {
                watch.renewed(sent);
                true
            }
            _ => false,
        }
    }

    async fn take_over(&self, epoch: Epoch, sent: Instant) -> Result<(), StoreError> {
        let records =
            timeout(self.settings.lead_lease, self.store.load()).await.unwrap_or_else(|_| Err(late("loading")))?;
        let at_once = {
            let mut state = self.state();
            // Nobody can have led between two epochs of which one follows the other: what this replica granted, it knows.
            let remembers = state.book_epoch.is_some_and(|last| last.0 + 1 >= epoch.0);
            self.fill(&mut state, epoch, records, remembers);
            let at_once = remembers || self.settings.sole || epoch.0 <= 1;
            let settles = if at_once { Instant::now() } else { Instant::now() + self.settings.grant };
            let watch = LeaseWatch::new(self.settings.lead_lease, sent);
            state.role = Role::Leader { epoch, watch, settles: Some(settles) };
            tracing::info!(epoch = epoch.0, tokens = state.cards.len(), at_once, "leading the token pool");
            at_once
        };
        self.unsaved.notify_one();
        if at_once {
            self.reconcile().await?;
        }
        // Else the reconciling task counts when the wait is over.
        self.read_now.notify_one();
        Ok(())
    }

    /// The records into the book; grants are kept where they are this replica's own.
    fn fill(&self, state: &mut State, epoch: Epoch, records: Vec<TokenRecord>, remembers: bool) {
        let now = self.now(state);
        if remembers {
            state.book.set_epoch(epoch);
            state.book_epoch = Some(epoch);
            self.admit_unknown(state, records, now);
            return;
        }
        state.book = LeaseBook::new(epoch, self.settings.policy.clone(), self.settings.grant_hold);
        state.book_epoch = Some(epoch);
        state.cards = HashMap::with_capacity(records.len());
        state.unsaved.clear();
        state.saved.clear();
        state.behind = false;
        for record in records {
            self.admit(state, record, now);
        }
    }

    /// Only the leader writes rows, so those it knows say nothing new; one that it does not know came of an import in doubt.
    pub(crate) fn admit_unknown(&self, state: &mut State, records: Vec<TokenRecord>, now: domain::Timestamp) {
        for record in records {
            let going = state.unsaved.get(&record.id) == Some(&Unsaved::Deletion);
            if !going && !state.cards.contains_key(&record.id) {
                self.admit(state, record, now);
            }
        }
        state.behind = false;
    }

    /// One record into the book, its secret opened. One that does not open is quarantined.
    pub(crate) fn admit(&self, state: &mut State, record: TokenRecord, now: domain::Timestamp) {
        let id = record.id;
        let secret = match self.settings.keys.open(id, &record.sealed) {
            Ok(secret) => Some(secret),
            Err(error) => {
                tracing::error!(token_id = %id, key = record.sealed.key_id, %error, "a token's sealed secret does not open");
                None
            }
        };
        let damaged = secret.is_none();
        let mended = !damaged && record.reason.as_deref() == Some(reason::DAMAGED);
        let mut health = Health::of_row(record.state, record.until, record.reason, now);
        if mended {
            // Its key is back. What was known of it before is not.
            health = health.after(&Event::Reinstated, now, &self.settings.policy);
        }
        let card = Card {
            label: record.label,
            fingerprint: secret.as_ref().map(|secret| fingerprint(&self.settings.fingerprint_key, secret)),
            secret,
            key_id: record.sealed.key_id,
            created_at: record.created_at,
        };
        state.cards.insert(id, card);
        let terms = Terms {
            id,
            max_concurrency: record.max_concurrency,
            requests_per_minute: record.requests_per_minute,
            expires_at: record.expires_at,
            health,
        };
        state.book.add(terms, now);
        if mended || damaged && state.book.happen(id, &Event::Damaged, now) {
            state.unsaved.insert(id, Unsaved::State);
        }
    }

    fn step_down_if_over(&self) {
        let over = matches!(self.state().role, Role::Leader { watch, .. } if !watch.may_start(Instant::now()));
        if over {
            self.step_down("");
        }
    }

    /// Follows from now on. Those who wait are told so.
    pub(crate) fn step_down(&self, leader: &str) {
        let mut state = self.state();
        if matches!(state.role, Role::Leader { .. }) {
            if self.shutdown.is_cancelled() {
                tracing::info!("no longer leading the token pool: it stops");
            } else {
                tracing::warn!(leader, "no longer leading the token pool");
            }
        }
        state.role = Role::Follower { leader: leader.to_owned() };
        // Dropping their senders wakes them.
        state.waiters.clear();
        drop(state);
        self.serving.send_replace(false);
    }
}
