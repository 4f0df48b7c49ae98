//! The gateways that live, by the ledger's clock: what a limit is shared by while the shared limiter is out of reach.
//!
//! Nothing depends on one gateway in particular, so no row here is anybody's work: one that goes silent is forgotten.

use super::StoreError;
use crate::ids::GatewayId;
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
pub trait Gateways: Send + Sync {
    /// Says that `gateway` lives for `lease` from now; one that was silent for longer may come back. Answers how many live now, this one
    /// included, so at least 1.
    async fn beat(&self, gateway: GatewayId, lease: Duration) -> Result<u32, StoreError>;
    /// It serves no more and counts no longer. Somebody unknown leaves as well.
    async fn leave(&self, gateway: GatewayId) -> Result<(), StoreError>;
}
