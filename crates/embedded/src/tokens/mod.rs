//! The `Tokens` port on SQLite: one use case a file. Nothing is decided here.

mod import;
mod lead;
mod leases;
mod records;

use crate::Ledger;
use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{TokenId, WorkerId};
use domain::ports::StoreError;
use domain::ports::tokens::{Epoch, Guarded, Leadership, Tokens};
use domain::token::{ImportOutcome, NamedLease, SealedSecret, TokenRecord, TokenState};
use std::time::Duration;

#[async_trait]
impl Tokens for Ledger {
    async fn lead(&self, replica: WorkerId, address: &str, lease: Duration) -> Result<Leadership, StoreError> {
        Ok(lead::lead(self, replica, address, lease).await?)
    }

    async fn resign(&self, replica: WorkerId) -> Result<(), StoreError> {
        Ok(lead::resign(self, replica).await?)
    }

    async fn load(&self) -> Result<Vec<TokenRecord>, StoreError> {
        Ok(records::load(self).await?)
    }

    async fn import(
        &self,
        epoch: Epoch,
        tokens: Vec<TokenRecord>,
        max: u32,
    ) -> Result<Option<Vec<ImportOutcome>>, StoreError> {
        Ok(import::import(self, epoch, &tokens, max).await?)
    }

    async fn set_state(
        &self,
        epoch: Epoch,
        id: TokenId,
        state: TokenState,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Result<Guarded, StoreError> {
        Ok(records::set_state(self, epoch, id, state, until, reason).await?)
    }

    async fn reseal(&self, epoch: Epoch, id: TokenId, sealed: SealedSecret) -> Result<Guarded, StoreError> {
        Ok(records::reseal(self, epoch, id, sealed).await?)
    }

    async fn delete(&self, epoch: Epoch, id: TokenId) -> Result<Guarded, StoreError> {
        Ok(records::delete(self, epoch, id).await?)
    }

    async fn leases(&self) -> Result<Vec<NamedLease>, StoreError> {
        Ok(leases::leases(self).await?)
    }
}
