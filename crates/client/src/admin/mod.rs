//! The operators' calls under `/admin/v1`. Every change carries an idempotency key of its own, so each may be repeated.

mod accounts;
mod ask;
mod generations;
mod queue;
mod scaling;
mod tokens;
mod workers;

pub use accounts::{AccountChange, AccountQuery, AccountView, KeyView, NewAccount};
pub use ask::{Asked, Method};
pub use generations::{AdminGeneration, AdminGenerationQuery};
pub use queue::{LastMinutes, QueueView, WaitSeconds};
pub use scaling::{ScalingInputs, ScalingView};
pub use tokens::{ImportResult, ImportedToken, PoolView, TokenImport, TokenView};
pub use workers::{AuditView, DiscrepancyView, Verification, WorkerView};

use crate::transport::Transport;

/// An operator's view of one address.
#[derive(Debug, Clone, Copy)]
pub struct Admin<'a> {
    transport: &'a Transport,
}

impl<'a> Admin<'a> {
    pub(crate) const fn new(transport: &'a Transport) -> Self {
        Self { transport }
    }
}
