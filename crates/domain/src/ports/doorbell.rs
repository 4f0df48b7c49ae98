//! The doorbell: "there is work", "this changed". A ring may come twice or never; the ledger says what is true.

use crate::event::{Change, Notice};
use async_trait::async_trait;
use futures::stream::BoxStream;

/// A ring could not be sent. Logged and counted, never fatal: the next unrung claim or re-read finds what it spoke of.
#[derive(Debug, thiserror::Error)]
#[error("the doorbell did not ring: {0}")]
pub struct DoorbellError(pub String);

/// What a listener hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard<T> {
    Rang(T),
    /// Rings may have been lost (a reconnect, a full queue): look for yourself. Also the first thing that every listener hears: from now
    /// on it listens, and what was before it is in the ledger.
    Missed,
}

/// Rings for as long as the listener keeps it. It never ends by itself: a broken connection is mended behind it.
pub type Rings<T> = BoxStream<'static, Heard<T>>;

#[async_trait]
pub trait Doorbell: Send + Sync {
    /// Wakes one worker, some worker, once: however many generations came.
    async fn ring_workers(&self) -> Result<(), DoorbellError>;
    /// At most 500 changes a ring.
    async fn ring_gateways(&self, changes: &[Change]) -> Result<(), DoorbellError>;
    /// Heard by every worker.
    async fn notify_workers(&self, notices: &[Notice]) -> Result<(), DoorbellError>;

    /// One of the listeners hears each ring. A ring only wakes: it is taken off on receipt.
    fn work(&self) -> Rings<()>;
    fn changes(&self) -> Rings<Vec<Change>>;
    fn notices(&self) -> Rings<Vec<Notice>>;
}
