//! The token pool's own records. Only the pool uses this port; a write with an older epoch than the leader's is refused.

use super::StoreError;
use crate::Timestamp;
use crate::ids::{TokenId, WorkerId};
use crate::token::{ImportOutcome, NamedLease, SealedSecret, TokenRecord, TokenState};
use async_trait::async_trait;
use std::time::Duration;

/// Grows with every change of leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// This replica leads, under this epoch, until the lease it asked for runs out.
    Leader(Epoch),
    /// Another one leads and is reached at this address.
    Follower { leader: String },
}

/// What became of a write under an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarded {
    Done,
    NotFound,
    /// Another leader has taken over.
    StaleEpoch,
}

#[async_trait]
pub trait Tokens: Send + Sync {
    /// Takes or renews the leadership for `lease`. A new leader raises the epoch.
    async fn lead(&self, replica: WorkerId, address: &str, lease: Duration) -> Result<Leadership, StoreError>;
    /// Gives it up, so that the next need not wait.
    async fn resign(&self, replica: WorkerId) -> Result<(), StoreError>;

    async fn load(&self) -> Result<Vec<TokenRecord>, StoreError>;
    /// In order; duplicates (by fingerprint) keep what they have; past `max` counted tokens each is refused. `None`: stale epoch.
    async fn import(
        &self,
        epoch: Epoch,
        tokens: Vec<TokenRecord>,
        max: u32,
    ) -> Result<Option<Vec<ImportOutcome>>, StoreError>;
    async fn set_state(
        &self,
        epoch: Epoch,
        id: TokenId,
        state: TokenState,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Result<Guarded, StoreError>;
    /// The same secret, sealed anew; everything else of the row stays.
    async fn reseal(&self, epoch: Epoch, id: TokenId, sealed: SealedSecret) -> Result<Guarded, StoreError>;
    async fn delete(&self, epoch: Epoch, id: TokenId) -> Result<Guarded, StoreError>;

    /// Every lease that live work names.
    async fn leases(&self) -> Result<Vec<NamedLease>, StoreError>;
}
