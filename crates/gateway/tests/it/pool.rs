//! A token pool in memory, as operators see one. It knows three tokens at most, and leases none.

use domain::Timestamp;
use domain::ids::TokenId;
use domain::ports::TokenAdmin;
use domain::ports::pool::PoolError;
use domain::token::{ImportOutcome, PoolStats, TokenImport, TokenState, TokenView};
use std::sync::Mutex;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Pool {
    tokens: Mutex<Vec<(String, TokenView)>>,
}

impl Pool {
    fn set(&self, id: TokenId, state: TokenState) -> Option<TokenView> {
        let mut tokens = self.tokens.lock().unwrap();
        let (_, token) = tokens.iter_mut().find(|(_, token)| token.id == id)?;
        token.state = state;
        Some(token.clone())
    }
}

#[async_trait::async_trait]
impl TokenAdmin for Pool {
    async fn import(&self, imported: Vec<TokenImport>) -> Result<Vec<ImportOutcome>, PoolError> {
        use secrecy::ExposeSecret;
        let mut tokens = self.tokens.lock().unwrap();
        let outcome = |import: TokenImport| {
            let secret = import.secret.expose_secret().to_owned();
            if let Some((_, known)) = tokens.iter().find(|(known, _)| *known == secret) {
                return ImportOutcome::Duplicate(known.id);
            }
            if tokens.len() >= 3 {
                return ImportOutcome::PoolFull;
            }
            // Ids are in the order of their times.
            let begin: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
            let created_at = begin + Duration::from_secs(tokens.len() as u64);
            let id = TokenId::new(created_at, rand::random());
            let view = TokenView {
                id,
                label: import.label,
                state: TokenState::Usable,
                until: None,
                reason: None,
                max_concurrency: import.max_concurrency.unwrap_or(10),
                requests_per_minute: import.requests_per_minute,
                leased: 0,
                expires_at: import.expires_at,
                created_at,
            };
            tokens.push((secret, view));
            ImportOutcome::Imported(id)
        };
        Ok(imported.into_iter().map(outcome).collect())
    }

    async fn list(&self) -> Result<Vec<TokenView>, PoolError> {
        Ok(self.tokens.lock().unwrap().iter().map(|(_, token)| token.clone()).collect())
    }

    async fn disable(&self, id: TokenId) -> Result<Option<TokenView>, PoolError> {
        Ok(self.set(id, TokenState::Disabled))
    }

    async fn reinstate(&self, id: TokenId) -> Result<Option<TokenView>, PoolError> {
        Ok(self.set(id, TokenState::Usable))
    }

    async fn delete(&self, id: TokenId) -> Result<Option<()>, PoolError> {
        let mut tokens = self.tokens.lock().unwrap();
        let before = tokens.len();
        tokens.retain(|(_, token)| token.id != id);
        Ok((tokens.len() < before).then_some(()))
    }

    async fn stats(&self) -> Result<PoolStats, PoolError> {
        let usable = self.tokens.lock().unwrap().len() as u32;
        Ok(PoolStats { min: 2, max: 3, usable, ..PoolStats::default() })
    }
}
