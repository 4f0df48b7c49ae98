//! The token pool, as workers and operators call it: in process, or over gRPC.

use crate::ids::{LeaseId, TokenId};
use crate::token::{AcquireRequest, Acquired, ImportOutcome, LeaseOutcome, PoolStats, TokenImport, TokenView};
use async_trait::async_trait;

#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error("the token pool is out of reach: {0}")]
    Unavailable(String),
    #[error("the token pool refused the caller: {0}")]
    Denied(String),
    #[error("the token pool failed: {0}")]
    Internal(String),
}

#[async_trait]
pub trait TokenLeases: Send + Sync {
    async fn acquire(&self, request: AcquireRequest) -> Result<Acquired, PoolError>;
    /// Keeps grants that the ledger does not name yet. Answers which of them still stand.
    async fn renew(&self, leases: &[LeaseId]) -> Result<Vec<LeaseId>, PoolError>;
    /// Releasing what is not held is no error: it changes nothing and is counted.
    async fn release(&self, leases: &[(LeaseId, LeaseOutcome)]) -> Result<(), PoolError>;
}

#[async_trait]
pub trait TokenAdmin: Send + Sync {
    /// One outcome a token, in order.
    async fn import(&self, tokens: Vec<TokenImport>) -> Result<Vec<ImportOutcome>, PoolError>;
    async fn list(&self) -> Result<Vec<TokenView>, PoolError>;
    /// `None`: no such token. So with the three that follow.
    async fn disable(&self, id: TokenId) -> Result<Option<TokenView>, PoolError>;
    async fn reinstate(&self, id: TokenId) -> Result<Option<TokenView>, PoolError>;
    async fn delete(&self, id: TokenId) -> Result<Option<()>, PoolError>;
    async fn stats(&self) -> Result<PoolStats, PoolError>;
}
