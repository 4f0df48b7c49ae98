//! The doorbell: "there is work", "this changed". A ring may come twice or never; the ledger says what is true.

use crate::Timestamp;
use crate::event::{Change, Notice};
use async_trait::async_trait;
use futures::stream::BoxStream;
use uuid::Uuid;

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

/// Rings that were laid aside because they made no sense to whoever heard them, or came back again and again. Equal ones are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Made from what it says: equal rings have one id.
    pub id: Uuid,
    /// The broker's word: `rejected` or `delivery_limit`.
    pub reason: String,
    pub count: u32,
    /// When the last of them was laid aside, where the broker says so.
    pub died_at: Option<Timestamp>,
    /// How long it is.
    pub bytes: u64,
    /// Its beginning, as text.
    pub preview: String,
}

#[async_trait]
pub trait Doorbell: Send + Sync {
    /// Wakes one worker, some worker, once: however many generations came. `trace`: the W3C `traceparent` of the ring, carried to whoever hears it
    /// where the doorbell can; of rings that are heard as one it is that of one of them.
    async fn ring_workers(&self, trace: Option<&str>) -> Result<(), DoorbellError>;
    /// At most 500 changes a ring.
    async fn ring_gateways(&self, changes: &[Change]) -> Result<(), DoorbellError>;
    /// Heard by every worker.
    async fn notify_workers(&self, notices: &[Notice]) -> Result<(), DoorbellError>;

    /// One of the listeners hears each ring. A ring only wakes: it is taken off on receipt, and carries its `traceparent` at most.
    fn work(&self) -> Rings<Option<String>>;
    fn changes(&self) -> Rings<Vec<Change>>;
    fn notices(&self) -> Rings<Vec<Notice>>;

    /// How many rings were laid aside and are still there.
    async fn dead(&self) -> Result<u64, DoorbellError>;
    /// All of them, in the order of their ids; no more than the doorbell lays aside, which is bounded.
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, DoorbellError>;
    /// Rings again what was laid aside under this id, and answers how many: 0 where there is none.
    async fn requeue_dead(&self, id: Uuid) -> Result<u32, DoorbellError>;
    /// Drops what was laid aside under this id, and answers how many.
    async fn discard_dead(&self, id: Uuid) -> Result<u32, DoorbellError>;
}
