//! Generations, as customers and operators ask for them.

use super::StoreError;
use crate::Timestamp;
use crate::admission::Submission;
use crate::event::Change;
use crate::generation::{CanceledBy, ErrorCode, Generation};
use crate::ids::{AccountId, GenerationId, TokenId, WorkerId};
use crate::page::{Page, PageRequest};
use crate::state::{Stage, Status};
use crate::tier::Tier;
use async_trait::async_trait;
use chrono::TimeDelta;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What became of one submission of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Submitted {
    Accepted(Box<Generation>),
    /// The key was used for the same request before.
    Replayed(Box<Generation>),
    KeyReused,
    CreditsExhausted,
    QuotaExhausted {
        used: i64,
        limit: i64,
        resets_at: Timestamp,
    },
    AccountSuspended,
    AccountUnknown,
}

/// Whose generations may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Account(AccountId),
    /// Operators see all.
    Everyone,
}

impl Scope {
    pub fn sees(self, account: AccountId) -> bool {
        match self {
            Self::Account(own) => own == account,
            Self::Everyone => true,
        }
    }
}

/// How many rows a page with a filter looks at; the page may then be short, and its `next` says where to go on.
pub const LOOKED_AT_MOST: u32 = 10_000;
/// An id is made a little before its row is: how far the two moments may be apart before a page by time could miss one.
const APART_MOST: TimeDelta = TimeDelta::hours(1);

fn first_id(at: Timestamp) -> Uuid {
    let millis = u128::from(u64::try_from(at.timestamp_millis()).unwrap_or(0)) & 0xffff_ffff_ffff;
    Uuid::from_u128(millis << 80)
}

#[derive(Debug, Clone, Default)]
pub struct GenerationFilter {
    pub status: Option<Status>,
    pub stage: Option<Stage>,
    pub tier: Option<Tier>,
    pub error_code: Option<ErrorCode>,
    pub created_after: Option<Timestamp>,
    pub created_before: Option<Timestamp>,
    /// Part of the prompt, the title or the metadata; case is ignored, in ASCII at least.
    pub text: Option<String>,
}

impl GenerationFilter {
    /// Whether rows are passed over that scope and bounds of time let through.
    pub const fn narrows(&self) -> bool {
        self.status.is_some()
            || self.stage.is_some()
            || self.tier.is_some()
            || self.error_code.is_some()
            || self.text.is_some()
    }

    /// Between which ids a page has to look, both exclusive: an id begins with its moment.
    pub fn ids(&self, page: PageRequest) -> (Uuid, Uuid) {
        let above = self.created_after.map_or(Uuid::nil(), |at| first_id(at - APART_MOST));
        let below = self.created_before.map_or(Uuid::max(), |at| first_id(at + APART_MOST));
        (above, page.after.map_or(below, |after| after.min(below)))
    }

    /// The text as a pattern of SQL's `like`, a backslash before what would mean something else.
    pub fn pattern(&self) -> Option<String> {
        let text = self.text.as_deref()?;
        let mut pattern = String::with_capacity(text.len() + 2);
        pattern.push('%');
        for character in text.chars() {
            if matches!(character, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push('%');
        Some(pattern)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Canceled {
    Canceled {
        generation: Box<Generation>,
        /// A worker owned it: it must be told.
        tell_workers: bool,
    },
    AlreadyFinal(Box<Generation>),
    NotFound,
}

/// One try, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub fence: i64,
    pub worker_id: Option<WorkerId>,
    pub token_id: Option<TokenId>,
    pub upstream_id: Option<String>,
    /// `succeeded`, `failed`, `retried`, `returned`, `adopted`, `canceled`.
    pub outcome: String,
    pub error: Option<String>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Timestamp,
}

/// The queue in numbers: now, and over the last five minutes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueStats {
    /// Queued, backoff included.
    pub waiting: u64,
    /// Holds a worker's slot.
    pub active: u64,
    pub rendering: u64,
    pub waiting_by_tier: BTreeMap<Tier, u64>,
    pub oldest_waiting_seconds: f64,
    pub paused: bool,
    /// Ended in the last five minutes, and how many of those failed.
    pub finished: u64,
    pub failed: u64,
    /// From acceptance to the first claim, of those that ended in the last five minutes.
    pub wait_seconds: [f64; 3],
    /// From the claim to the end of the attempts that succeeded in the last five minutes.
    pub upstream_seconds: [f64; 3],
}

/// How many wait, for the backlog bounds. Soft: a gateway may keep it for a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    pub account: u64,
    pub total: u64,
}

/// Up to how many of each kind a [`Place`] is counted: that many means that many or more.
pub const PLACES_COUNTED: u64 = 10_000;

/// Where a waiting generation stands: what goes before it by its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What its account has waiting before it, backoff included.
    pub ahead_in_account: u64,
    /// What anybody has due before it.
    pub ahead: u64,
    /// The end of its backoff; `None` when it is due.
    pub due_at: Option<Timestamp>,
}

#[async_trait]
pub trait Generations: Send + Sync {
    /// Accepts a batch: one transaction, one outcome an item, in order. See [`crate::admission`].
    async fn submit(&self, batch: &[Submission]) -> Result<Vec<Submitted>, StoreError>;

    async fn show(&self, scope: Scope, id: GenerationId) -> Result<Option<Generation>, StoreError>;
    /// Those that exist of the given ids, in any order: what streams re-read after rings.
    async fn show_many(&self, ids: &[GenerationId]) -> Result<Vec<Generation>, StoreError>;
    /// Newest first. With a filter that narrows, a page looks at [`LOOKED_AT_MOST`] rows: fewer items than its limit are not the end.
    async fn list(
        &self,
        scope: Scope,
        filter: &GenerationFilter,
        page: PageRequest,
    ) -> Result<Page<Generation>, StoreError>;
    async fn attempts(&self, id: GenerationId) -> Result<Vec<Attempt>, StoreError>;

    /// Ends the customer's record and refunds, in one transaction. Exactly one of cancel and completion wins.
    async fn cancel(&self, scope: Scope, id: GenerationId, by: CanceledBy) -> Result<Canceled, StoreError>;
    /// Gives up everything past its deadline, at most `limit`: as [`Generations::cancel`] by the deadline. The ids of those that a worker
    /// owned come with `true`.
    async fn expire(&self, limit: u16) -> Result<Vec<(Change, bool)>, StoreError>;

    async fn backlog(&self, account_id: AccountId) -> Result<Backlog, StoreError>;
    async fn queue(&self) -> Result<QueueStats, StoreError>;
    /// `None`: it does not wait. Two bounded probes of an index, see [`PLACES_COUNTED`].
    async fn place(&self, id: GenerationId) -> Result<Option<Place>, StoreError>;

    /// Trims the job history to the newest `succeeded` and `failed` attempts, forgets idempotency keys of more than 24 h and results older than
    /// `results_for`, in steps of at most 500 rows. Answers how many rows went: call again while it is not 0.
    async fn retain(&self, succeeded: u32, failed: u32, results_for: std::time::Duration) -> Result<u64, StoreError>;
}
