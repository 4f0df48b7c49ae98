//! What Son1k needs of the world, as narrow traits. Each store method is one use case and one transaction: none crosses a port.
//!
//! Outcomes are values, failures are errors: a [`StoreError`] says that the store is unwell, never that a rule said no. The conformance
//! crate defines each method's meaning; both adapters pass it.

pub mod accounts;
pub mod doorbell;
pub mod gateways;
pub mod generations;
pub mod limiter;
pub mod operators;
pub mod pool;
pub mod probe;
pub mod scaling;
pub mod token_source;
pub mod tokens;
pub mod upstream;
pub mod work;

pub use accounts::Accounts;
pub use doorbell::Doorbell;
pub use gateways::Gateways;
pub use generations::Generations;
pub use limiter::RateLimiter;
pub use operators::Operators;
pub use pool::{TokenAdmin, TokenLeases};
pub use probe::Probe;
pub use scaling::Scaling;
pub use token_source::TokenSource;
pub use tokens::Tokens;
pub use upstream::Upstream;
pub use work::Work;

use crate::Timestamp;
use std::sync::Arc;

/// The store is unwell. Nothing was changed, unless it says that it is in doubt.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Out of reach, overloaded, or timed out before the commit was sent: nothing was changed.
    #[error("the store is out of reach: {0}")]
    Unavailable(String),
    /// The commit was sent and its answer never came: it may have happened.
    #[error("the store did not confirm a commit: {0}")]
    InDoubt(String),
    /// It answered with what cannot be: a bug or a damaged row. Retrying does not help.
    #[error("the store holds what cannot be: {0}")]
    Corrupt(String),
}

/// The ledger's clock, tracked: its own time at the last contact, carried on by this process's monotonic clock.
///
/// For ids and for display. What decides (leases, deadlines, windows) is judged inside the statement.
pub trait LedgerClock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// What a process is given by the composition root. Which adapter stands behind each, no service knows.
#[derive(Clone)]
pub struct Backends {
    pub accounts: Arc<dyn Accounts>,
    pub operators: Arc<dyn Operators>,
    pub generations: Arc<dyn Generations>,
    pub work: Arc<dyn Work>,
    pub tokens: Arc<dyn Tokens>,
    pub gateways: Arc<dyn Gateways>,
    pub scaling: Arc<dyn Scaling>,
    pub doorbell: Arc<dyn Doorbell>,
    pub limiter: Arc<dyn RateLimiter>,
    pub clock: Arc<dyn LedgerClock>,
    /// For `/readyz`: the ledger first.
    pub probes: Vec<Arc<dyn Probe>>,
}
