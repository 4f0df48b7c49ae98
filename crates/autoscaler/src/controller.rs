//! What a platform must offer: the number of the workers' replicas, read and written.

use async_trait::async_trait;

/// Why a platform was not read or not changed. Messages are ours; a platform's own text is repeated where it is short and plain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    #[error("the platform is out of reach: {0}")]
    Unavailable(String),
    #[error("the platform refused: {0}")]
    Refused(String),
    #[error("the platform answered nonsense: {0}")]
    Malformed(String),
    /// What the settings name is not the workers' service: nothing was touched.
    #[error("not the workers' service: {0}")]
    NotTheWorkers(String),
    /// The leadership ran out half-way: whoever leads goes on.
    #[error("the leadership ran out")]
    NotLeading,
}

/// Whether this replica still leads: asked before each step that changes something.
pub type StillLeads<'a> = &'a (dyn Fn() -> bool + Send + Sync);

#[async_trait]
pub trait Controller: Send + Sync {
    /// As settings and metrics name it.
    fn name(&self) -> &'static str;
    /// The replicas that the platform is told to run. `None`: nothing is applied, and those that live are counted.
    async fn current(&self) -> Result<Option<u32>, ControlError>;
    /// Makes it so many, of the workers' service alone. Doing it twice is doing it once.
    async fn scale(&self, to: u32, leads: StillLeads<'_>) -> Result<(), ControlError>;
}

/// Applies nothing: the decision is for others to read.
pub struct Advise;

#[async_trait]
impl Controller for Advise {
    fn name(&self) -> &'static str {
        "advise"
    }

    async fn current(&self) -> Result<Option<u32>, ControlError> {
        Ok(None)
    }

    async fn scale(&self, _: u32, _: StillLeads<'_>) -> Result<(), ControlError> {
        Ok(())
    }
}
