//! What the autoscaler needs of the ledger: who leads, what is measured, and what was last decided. Only the leader writes a decision; anybody
//! reads it.

use super::StoreError;
use super::tokens::{Epoch, Guarded};
use crate::Timestamp;
use crate::ids::WorkerId;
use crate::scaling::{Observed, Standing};
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
pub trait Scaling: Send + Sync {
    /// Takes or renews the leadership for `lease`. A new leader raises the epoch. `None`: another replica leads.
    async fn lead_scaling(&self, replica: WorkerId, lease: Duration) -> Result<Option<Epoch>, StoreError>;
    /// Gives it up, so that the next need not wait.
    async fn resign_scaling(&self, replica: WorkerId) -> Result<(), StoreError>;
    /// The load in one snapshot, and the ledger's moment of it.
    async fn observe(&self) -> Result<(Observed, Timestamp), StoreError>;
    /// What was last written down, and how long ago.
    async fn standing(&self) -> Result<Option<(Standing, Duration)>, StoreError>;
    /// Writes it down, unless another leader has taken over since `epoch`. Never [`Guarded::NotFound`].
    async fn record(&self, epoch: Epoch, standing: &Standing) -> Result<Guarded, StoreError>;
}
