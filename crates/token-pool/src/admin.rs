//! What operators do with tokens: import, list, disable, reinstate, delete, count.
//!
//! A change is in force at once, and the call answers when it is stored as well. Secrets come in here and never go out.

use crate::health::{Event, reason};
use crate::keys::fingerprint;
use crate::pool::Pool;
use crate::refused::Refused;
use crate::state::Unsaved;
use async_trait::async_trait;
use domain::ids::TokenId;
use domain::ports::StoreError;
use domain::ports::pool::{PoolError, TokenAdmin};
use domain::ports::tokens::Epoch;
use domain::token::{ImportOutcome, PoolStats, TokenImport, TokenRecord, TokenState, TokenView};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::timeout;

/// Tokens in one import.
pub(crate) const IMPORT_MAX: usize = 1_000;
/// Bytes of one secret.
const SECRET_MAX: usize = 4_096;
/// Characters of a label.
const LABEL_MAX: usize = 200;
const IMPORT_DEADLINE: Duration = Duration::from_secs(8);

fn valid(tokens: &[TokenImport]) -> Result<(), Refused> {
    if tokens.is_empty() || tokens.len() > IMPORT_MAX {
        return Err(Refused::Invalid("import 1 to 1,000 tokens at once"));
    }
    tokens.iter().find_map(fault_of).map_or(Ok(()), |fault| Err(Refused::Invalid(fault)))
}

/// Why this one cannot be imported.
pub(crate) fn fault_of(token: &TokenImport) -> Option<&'static str> {
    let secret = token.secret.expose_secret();
    if secret.trim().is_empty() || secret.len() > SECRET_MAX || secret.chars().any(char::is_control) {
        return Some("a secret must be 1 to 4,096 bytes without control characters");
    }
    if token.label.as_ref().is_some_and(|label| label.chars().count() > LABEL_MAX) {
        return Some("a label has at most 200 characters");
    }
    if token.max_concurrency == Some(0) || token.requests_per_minute == Some(0) {
        return Some("max_concurrency and requests_per_minute are at least 1");
    }
    None
}

impl Pool {
    pub(crate) async fn take_in(&self, tokens: Vec<TokenImport>) -> Result<Vec<ImportOutcome>, Refused> {
        valid(&tokens)?;
        let (epoch, now, known) = {
            let mut state = self.state();
            // By what is opened, and not by what the rows say: their fingerprints may be of an earlier key.
            let known: HashMap<[u8; 32], TokenId> =
                state.cards.iter().filter_map(|(id, card)| Some((card.fingerprint?, *id))).collect();
            (state.leading()?, self.now(&mut state), known)
        };
        let mut records = Vec::with_capacity(tokens.len());
        let mut outcomes = Vec::with_capacity(tokens.len());
        for token in tokens {
            let fingerprint = fingerprint(&self.settings.fingerprint_key, &token.secret);
            outcomes.push(known.get(&fingerprint).map(|id| ImportOutcome::Duplicate(*id)));
            if known.contains_key(&fingerprint) {
                continue;
            }
            let id = TokenId::new(now, rand::random());
            records.push(TokenRecord {
                id,
                label: token.label,
                sealed: self.settings.keys.seal(id, &token.secret).map_err(|_| Refused::Sealing)?,
                fingerprint,
                max_concurrency: token.max_concurrency.unwrap_or(self.settings.default_concurrency).max(1),
                requests_per_minute: token.requests_per_minute,
                expires_at: token.expires_at,
                state: TokenState::Usable,
                until: None,
                reason: None,
                created_at: now,
            });
        }
        let stored = if records.is_empty() { Vec::new() } else { self.store_new(epoch, records).await? };
        let mut stored = stored.into_iter();
        Ok(outcomes.into_iter().filter_map(|known| known.or_else(|| stored.next())).collect())
    }

    /// One outcome a record, in order; those that were imported are in the book.
    async fn store_new(&self, epoch: Epoch, records: Vec<TokenRecord>) -> Result<Vec<ImportOutcome>, Refused> {
        let mut by_id: HashMap<TokenId, TokenRecord> =
            records.iter().map(|record| (record.id, record.clone())).collect();
        let stored = timeout(IMPORT_DEADLINE, self.store.import(epoch, records, self.settings.max)).await;
        let stored = stored.unwrap_or_else(|_| Err(StoreError::InDoubt("the import took too long".into())));
        let Some(outcomes) = stored.inspect_err(|_| self.fall_behind())? else {
            self.step_down("");
            return Err(Refused::NotLeader { leader: String::new() });
        };
        {
            let mut state = self.state();
            // Where the book is of a later epoch by now, it was filled from the store.
            if state.book_epoch == Some(epoch) {
                let now = self.now(&mut state);
                for outcome in &outcomes {
                    if let ImportOutcome::Imported(id) = outcome
                        && let Some(record) = by_id.remove(id)
                    {
                        self.admit(&mut state, record, now);
                    }
                }
                state.serve_waiters(now);
            }
        }
        self.changed.notify_one();
        Ok(outcomes)
    }

    /// What was imported for certain or not is read with the next leases.
    fn fall_behind(&self) {
        self.state().behind = true;
        self.read_now.notify_one();
    }

    pub(crate) fn show_all(&self) -> Result<Vec<TokenView>, Refused> {
        let mut state = self.state();
        state.leading()?;
        let now = self.now(&mut state);
        state.book.tick(now);
        Ok(state.views())
    }

    /// `None`: no such token.
    pub(crate) async fn steer(&self, id: TokenId, event: Event) -> Result<Option<TokenView>, Refused> {
        {
            let mut state = self.state();
            state.leading()?;
            let now = self.now(&mut state);
            let Some(card) = state.cards.get(&id) else { return Ok(None) };
            // What does not open cannot be vouched for.
            let event = if card.secret.is_none() && event == Event::Reinstated { Event::Damaged } else { event };
            state.book.happen(id, &event, now);
            state.serve_waiters(now);
        }
        self.changed.notify_one();
        self.saved(id, Unsaved::State).await?;
        Ok(self.state().view(id))
    }

    pub(crate) async fn remove(&self, id: TokenId) -> Result<Option<()>, Refused> {
        {
            let mut state = self.state();
            state.leading()?;
            if state.cards.remove(&id).is_none() {
                return Ok(None);
            }
            state.book.remove(id);
        }
        self.saved(id, Unsaved::Deletion).await?;
        Ok(Some(()))
    }

    pub(crate) fn numbers(&self) -> Result<PoolStats, Refused> {
        let mut state = self.state();
        state.leading()?;
        let now = self.now(&mut state);
        state.book.tick(now);
        Ok(self.count(&state))
    }
}

#[async_trait]
impl TokenAdmin for Pool {
    async fn import(&self, tokens: Vec<TokenImport>) -> Result<Vec<ImportOutcome>, PoolError> {
        Ok(self.take_in(tokens).await?)
    }

    async fn list(&self) -> Result<Vec<TokenView>, PoolError> {
        Ok(self.show_all()?)
    }

    async fn disable(&self, id: TokenId) -> Result<Option<TokenView>, PoolError> {
        Ok(self.steer(id, Event::Disabled(reason::OPERATOR)).await?)
    }

    async fn reinstate(&self, id: TokenId) -> Result<Option<TokenView>, PoolError> {
        Ok(self.steer(id, Event::Reinstated).await?)
    }

    async fn delete(&self, id: TokenId) -> Result<Option<()>, PoolError> {
        Ok(self.remove(id).await?)
    }

    async fn stats(&self) -> Result<PoolStats, PoolError> {
        Ok(self.numbers()?)
    }
}
