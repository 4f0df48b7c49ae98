//! A generation as its customer and its operators see it, and what it ends with.

use crate::Timestamp;
use crate::ids::{AccountId, GenerationId};
use crate::request::GenerationRequest;
use crate::state::{Stage, Status, WaitingOn};
use crate::tier::Tier;
use serde::{Deserialize, Serialize};

/// One piece of the result. Its JSON form is stored and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    pub id: String,
    pub audio_url: String,
    pub image_url: Option<String>,
    pub title: Option<String>,
    pub duration_seconds: f64,
}

/// What a succeeded generation has: one track or more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    pub tracks: Vec<Track>,
}

/// Why a generation ended without a result. Stable words: `docs/errors.md` has an entry for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The upstream refused the request itself.
    UpstreamRejected,
    UpstreamUnavailable,
    UpstreamTimeout,
    ModerationBlocked,
    AttemptsExhausted,
    Internal,
    /// The three ways to be canceled.
    CanceledByCustomer,
    CanceledByOperator,
    DeadlineExceeded,
}

impl ErrorCode {
    pub const ALL: [Self; 9] = [
        Self::UpstreamRejected,
        Self::UpstreamUnavailable,
        Self::UpstreamTimeout,
        Self::ModerationBlocked,
        Self::AttemptsExhausted,
        Self::Internal,
        Self::CanceledByCustomer,
        Self::CanceledByOperator,
        Self::DeadlineExceeded,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::UpstreamRejected => "upstream_rejected",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::ModerationBlocked => "moderation_blocked",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::Internal => "internal",
            Self::CanceledByCustomer => "canceled_by_customer",
            Self::CanceledByOperator => "canceled_by_operator",
            Self::DeadlineExceeded => "deadline_exceeded",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// Whether the same request may succeed when it is submitted anew.
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::UpstreamUnavailable
                | Self::UpstreamTimeout
                | Self::AttemptsExhausted
                | Self::Internal
                | Self::DeadlineExceeded
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationError {
    pub code: ErrorCode,
    /// For people; never a secret, never the upstream's raw body.
    pub message: String,
}

impl GenerationError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Who cancels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanceledBy {
    Customer,
    Operator,
    Deadline,
}

impl CanceledBy {
    pub fn error(self) -> GenerationError {
        match self {
            Self::Customer => GenerationError::new(ErrorCode::CanceledByCustomer, "Canceled by the customer."),
            Self::Operator => GenerationError::new(ErrorCode::CanceledByOperator, "Canceled by an operator."),
            Self::Deadline => {
                GenerationError::new(ErrorCode::DeadlineExceeded, "Not finished within its Cancel-After.")
            }
        }
    }
}

/// The whole record, as of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    pub id: GenerationId,
    pub account_id: AccountId,
    pub tier: Tier,
    pub request: GenerationRequest,
    pub status: Status,
    /// `None` once it has ended.
    pub stage: Option<Stage>,
    /// `None` unless queued.
    pub waiting_on: Option<WaitingOn>,
    /// Calls of the upstream that were started, those that cost no attempt left out.
    pub attempts: u32,
    /// Credits taken at acceptance: 0 for the system account.
    pub cost: i64,
    pub output: Option<Output>,
    pub error: Option<GenerationError>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub rendering_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// When it is given up.
    pub cancel_after: Timestamp,
    /// Grows with every change that a customer can see.
    pub version: u32,
    /// The versions of the milestones, for readers that come back.
    pub started_version: Option<u32>,
    pub rendering_version: Option<u32>,
    pub retry_of: Option<GenerationId>,
    pub trace_id: Option<String>,
}

/// How a credit of this generation stands. Exactly one of the three is its cost, the others 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CreditState {
    pub reserved: i64,
    pub captured: i64,
    pub refunded: i64,
}

impl Generation {
    pub const fn credits(&self) -> CreditState {
        let (reserved, captured, refunded) = match self.status {
            Status::Queued | Status::Processing => (self.cost, 0, 0),
            Status::Succeeded => (0, self.cost, 0),
            Status::Failed | Status::Canceled => (0, 0, self.cost),
        };
        CreditState { reserved, captured, refunded }
    }
}
