//! The `Tokens` port, one concern a file. Every write holds the leader's row while it compares epochs, so a new leader comes before it or after it,
//! never in between.

mod import;
mod lead;
mod leases;
mod records;

use crate::ledger::Ledger;
use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{TokenId, WorkerId};
use domain::ports::tokens::{Epoch, Guarded, Leadership};
use domain::ports::{StoreError, Tokens};
use domain::token::{ImportOutcome, NamedLease, SealedSecret, TokenRecord, TokenState};
use std::time::Duration;

#[async_trait]
impl Tokens for Ledger {
    async fn lead(&self, replica: WorkerId, address: &str, lease: Duration) -> Result<Leadership, StoreError> {
        self.write(|| lead::lead(self, replica, address, lease)).await
    }

    async fn resign(&self, replica: WorkerId) -> Result<(), StoreError> {
        self.write(|| lead::resign(self, replica)).await
    }

    async fn load(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.read(|| records::load(self)).await
    }

    async fn import(
        &self,
        epoch: Epoch,
        tokens: Vec<TokenRecord>,
        max: u32,
    ) -> Result<Option<Vec<ImportOutcome>>, StoreError> {
        self.write(|| import::import(self, epoch, &tokens, max)).await
    }

    async fn set_state(
        &self,
        epoch: Epoch,
        id: TokenId,
        state: TokenState,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Result<Guarded, StoreError> {
        self.write(|| records::set_state(self, epoch, id, state, until, reason.as_deref())).await
    }

    async fn reseal(&self, epoch: Epoch, id: TokenId, sealed: SealedSecret) -> Result<Guarded, StoreError> {
        self.write(|| records::reseal(self, epoch, id, &sealed)).await
    }

    async fn delete(&self, epoch: Epoch, id: TokenId) -> Result<Guarded, StoreError> {
        self.write(|| records::delete(self, epoch, id)).await
    }

    async fn leases(&self) -> Result<Vec<NamedLease>, StoreError> {
        self.read(|| leases::leases(self)).await
    }
}
