//! A dependency that readiness asks about.

use async_trait::async_trait;

#[async_trait]
pub trait Probe: Send + Sync {
    /// Such as `ledger`, `rabbitmq`, `redis`, `token_pool`.
    fn name(&self) -> &'static str;
    /// Without it the process cannot do its work (503); the others only degrade it (200).
    fn vital(&self) -> bool;
    /// Answers within a second; the text says what is wrong, without secrets or addresses' credentials.
    async fn check(&self) -> Result<(), String>;
}
