//! The public JSON, as customers read it. Fields that this version does not know are ignored.

use domain::Timestamp;
use domain::credits::EntryKind;
use domain::generation::Output;
use domain::ids::{AccountId, EntryId, GenerationId};
use domain::state::{Stage, Status};
use domain::tier::{Quality, Tier};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A generation as its customer sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Generation {
    pub id: GenerationId,
    pub status: Status,
    /// `None` once it has ended.
    pub stage: Option<Stage>,
    pub prompt: String,
    pub title: Option<String>,
    pub style: Option<String>,
    pub lyrics: Option<String>,
    pub instrumental: bool,
    pub duration_seconds: u32,
    pub quality: Quality,
    pub metadata: Map<String, Value>,
    pub credits: CreditState,
    pub attempts: u32,
    pub queue: Queue,
    pub output: Option<Output>,
    pub error: Option<FailureView>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub cancel_after: Timestamp,
    pub urls: Urls,
    #[serde(default)]
    pub retry_of: Option<GenerationId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct CreditState {
    pub reserved: i64,
    pub captured: i64,
    pub refunded: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Queue {
    pub position: Option<u64>,
    pub waiting_on: Option<String>,
    pub estimated_start_at: Option<Timestamp>,
}

/// Why a generation ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FailureView {
    pub code: String,
    pub message: String,
    #[serde(default)]
    pub retryable: bool,
}

/// Paths relative to the API's address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Urls {
    pub get: String,
    pub cancel: String,
    pub events: String,
}

/// Why a generation waits.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Explanation {
    pub id: GenerationId,
    pub status: Status,
    pub stage: Option<Stage>,
    /// Within its account, 1 is next; `None` when it does not wait, or more stand before it than are counted.
    pub position: Option<u64>,
    pub waiting_on: Option<String>,
    /// For people.
    pub reason: String,
    pub unblocked_by: Option<String>,
    pub estimated_start_at: Option<Timestamp>,
}

/// `GET /v1/account`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub tier: Tier,
    pub limits: AccountLimits,
    pub credits: Credits,
    /// This month's.
    pub generations: MonthlyUse,
    /// `None`: without a limit.
    pub rate_limit: Option<RateLimit>,
}

/// The requests of the last 60 seconds against their limit, this one counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct RateLimit {
    pub limit: u32,
    pub remaining: u32,
    /// Until one more passes.
    pub reset_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AccountLimits {
    /// `None`: without a limit.
    pub requests_per_minute: Option<u32>,
    pub generations_per_month: i64,
    pub credits_per_month: i64,
    /// The longest `duration_seconds`.
    pub duration_seconds: u32,
    pub quality: Quality,
    pub share: u32,
    pub backlog_max: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Credits {
    pub balance: i64,
    /// Of generations that have not ended.
    pub reserved: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct MonthlyUse {
    /// Refunded ones not counted.
    pub used: i64,
    pub limit: i64,
    pub resets_at: Timestamp,
}

/// One line of the credit ledger. Debits and lapses are negative.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CreditEntry {
    pub id: EntryId,
    pub kind: EntryKind,
    pub amount: i64,
    pub generation_id: Option<GenerationId>,
    pub reason: Option<String>,
    pub created_at: Timestamp,
}
