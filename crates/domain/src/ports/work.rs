//! Live work, as workers hold it. Every write names its owner and its fence; a stale one changes nothing and is told so.

use super::StoreError;
use crate::Timestamp;
use crate::admission::Tag;
use crate::event::Change;
use crate::generation::{GenerationError, Output};
use crate::ids::{AccountId, GenerationId, TokenId, WorkerId};
use crate::lease::{Fence, Held, LeaseRef};
use crate::request::GenerationRequest;
use crate::state::WorkState;
use crate::tier::Tier;
use async_trait::async_trait;
use std::time::Duration;

/// A worker's incarnation, as it registers.
#[derive(Debug, Clone)]
pub struct NewWorker {
    pub id: WorkerId,
    /// For people: host and process.
    pub name: String,
    pub version: String,
    pub slots: u32,
    pub lease: Duration,
}

/// What a worker carries, written with its renewal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    pub active: u32,
    pub rendering: u32,
    pub draining: bool,
    /// Since the renewal before: its share of the CPU that it may use, 0 to 1. `None`: not known yet.
    pub cpu: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    Renewed {
        /// An operator asked it to drain.
        drain: bool,
        /// What it holds that has been canceled.
        closing: Vec<Held>,
    },
    /// The row is gone or dead: abandon everything, start as a new incarnation.
    Lost,
}

/// One claimed generation, with all that submitting it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    pub held: Held,
    pub account_id: AccountId,
    pub tier: Tier,
    pub version: u32,
    pub tag: Tag,
    pub lease: LeaseRef,
    pub request: GenerationRequest,
    /// Tries so far, this one included.
    pub attempts: u32,
    /// Workers that died while they were submitting it.
    pub crashes: u32,
    /// The token of a submission whose answer was lost: the repeat belongs to the same one.
    pub in_doubt: Option<TokenId>,
    pub created_at: Timestamp,
    pub deadline: Timestamp,
    /// W3C `traceparent` of the submission.
    pub trace: Option<String>,
}

/// The upstream accepted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub held: Held,
    pub upstream_id: String,
    /// The lease that was used in the end.
    pub lease: LeaseRef,
}

/// Work to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutBack {
    pub held: Held,
    /// From now; zero is due at once.
    pub after: Duration,
    /// Counts towards the attempts that end.
    pub uses_attempt: bool,
    /// For the operators' history; `None` when nothing went wrong (a drain).
    pub error: Option<String>,
    /// The token of a submission that was sent and whose answer was lost: the next claim names it in [`Claimed::in_doubt`]. `None` leaves an
    /// older doubt as it is, or ends it where an attempt was used.
    pub in_doubt: Option<TokenId>,
}

/// The end of one generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    pub held: Held,
    pub outcome: Result<Output, GenerationError>,
    /// Known even where [`Work::rendering`] was skipped because the upstream completed at once.
    pub upstream_id: Option<String>,
}

/// What became of one fenced write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Applied {
    Applied(Change),
    /// Somebody else owns it by now, or it has ended: nothing was changed.
    Stale,
    /// It was canceled meanwhile: tell the upstream, then [`Work::closed`].
    Closing,
}

/// A render, or the closing of one, taken over from a dead worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Adopted {
    pub held: Held,
    pub account_id: AccountId,
    pub tier: Tier,
    pub state: WorkState,
    pub lease: LeaseRef,
    /// `None` for closing work that had not reached the upstream for certain.
    pub upstream_id: Option<String>,
    pub attempts: u32,
    pub rendering_at: Option<Timestamp>,
    pub deadline: Timestamp,
    pub duration_seconds: u32,
    pub trace: Option<String>,
}

/// What the one-second step did and saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stepped {
    /// Backoff that became due.
    pub promoted: u64,
    /// Workers found dead.
    pub died: u64,
    /// Submissions of dead workers put back.
    pub requeued: u64,
    pub paused: bool,
}

/// What a worker tells with its step.
#[derive(Debug, Clone, Copy, Default)]
pub struct StepReport {
    /// The greatest tag it ever claimed.
    pub greatest_tag: Tag,
    /// The pool was dry and will be for this long.
    pub dry_for: Option<Duration>,
    /// Finds nobody dead: this worker was out of touch until just now, and so may have been all others (see `LeaseWatch::may_bury`).
    pub spares_the_silent: bool,
}

/// A live worker, as operators see it.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerView {
    pub id: WorkerId,
    pub name: String,
    pub version: String,
    pub slots: u32,
    pub active: u32,
    pub rendering: u32,
    pub draining: bool,
    /// Its share of the CPU that it may use, as it told last.
    pub cpu: Option<f64>,
    pub started_at: Timestamp,
    pub renewed_at: Timestamp,
}

#[async_trait]
pub trait Work: Send + Sync {
    async fn register(&self, worker: NewWorker) -> Result<(), StoreError>;
    /// Moves the expiry of the worker's one lease, whatever it holds.
    async fn renew(&self, worker: WorkerId, lease: Duration, load: Load) -> Result<Renewal, StoreError>;
    /// The drain's end: marks the worker dead, so that what it left is adopted at once.
    async fn retire(&self, worker: WorkerId) -> Result<(), StoreError>;
    /// Those with a lease that stands.
    async fn workers(&self) -> Result<Vec<WorkerView>, StoreError>;
    /// An operator's wish; heard with the next renewal. `false`: no such live worker.
    async fn ask_to_drain(&self, worker: WorkerId) -> Result<bool, StoreError>;

    /// Takes the fairest due generations, one a lease at most. Nothing while paused, or for a worker whose own lease does not stand.
    async fn claim(&self, worker: WorkerId, leases: &[LeaseRef]) -> Result<Vec<Claimed>, StoreError>;
    async fn rendering(&self, worker: WorkerId, accepted: &[Accepted]) -> Result<Vec<Applied>, StoreError>;
    async fn put_back(&self, worker: WorkerId, items: &[PutBack]) -> Result<Vec<Applied>, StoreError>;
    /// State, output, refund and history in one transaction.
    async fn settle(&self, worker: WorkerId, settlements: &[Settlement]) -> Result<Vec<Applied>, StoreError>;
    /// The upstream has been told of a cancel: the work row goes.
    async fn closed(&self, worker: WorkerId, held: &[Held]) -> Result<(), StoreError>;

    /// Promotes backoff that is due, finds dead workers and puts their unfinished submissions back, moves virtual time, at most 1,000 rows.
    /// Any worker may run it at any time, several at once.
    async fn step(&self, worker: WorkerId, report: StepReport) -> Result<Stepped, StoreError>;
    /// Takes over at most `limit` renders and closings of dead workers, fence + 1 each.
    async fn adopt(&self, worker: WorkerId, limit: u16) -> Result<Vec<Adopted>, StoreError>;
    /// Takes over anew, fence + 1 each, what of these this worker owns and renders or is to close: the answer to its adoption was lost, and
    /// nobody knows of it.
    async fn resume(&self, worker: WorkerId, held: &[Held]) -> Result<Vec<Adopted>, StoreError>;
    /// What the ledger says this worker holds, for comparison with what it thinks.
    async fn held(&self, worker: WorkerId) -> Result<Vec<(GenerationId, Fence)>, StoreError>;
}
