//! The upstream that renders. Adapters speak its dialect; here is what they all can do.

use crate::generation::Output;
use crate::ids::GenerationId;
use crate::request::GenerationRequest;
use async_trait::async_trait;
use secrecy::SecretString;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct UpstreamJob {
    /// Also the idempotency key.
    pub id: GenerationId,
    pub request: GenerationRequest,
    pub callback_url: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum UpstreamAnswer {
    /// `remaining`: the upstream's own estimate of the render.
    Accepted { upstream_id: String, remaining: Option<Duration> },
    /// Done in the same breath.
    Completed { upstream_id: String, output: Output },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// `fraction`: 0 to 1; `remaining`: the upstream's own estimate.
    Rendering {
        fraction: Option<f32>,
        remaining: Option<Duration>,
    },
    Completed(Output),
    Failed {
        message: String,
        moderated: bool,
    },
    /// The upstream does not know this job.
    Unknown,
}

/// What the upstream said of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCheck {
    pub credits_left: Option<i64>,
}

/// Why a call brought nothing. Messages are ours: short, without the upstream's raw body and without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    #[error("the upstream refused the request: {0}")]
    Rejected(String),
    #[error("the upstream's moderation refused the request: {0}")]
    Moderated(String),
    #[error("the upstream refused the token")]
    Unauthorized,
    #[error("the token is out of credit")]
    OutOfCredit,
    #[error("the upstream limits the token")]
    RateLimited { retry_after: Option<Duration> },
    #[error("the upstream is unavailable: {0}")]
    Unavailable(String),
    /// The request was sent and no answer came in time: the upstream may have taken it.
    #[error("the upstream did not answer in time: {0}")]
    TimedOut(String),
    /// The request was sent and its answer was lost or makes no sense: the upstream may have taken it.
    #[error("the upstream's answer was lost: {0}")]
    Unclear(String),
}

impl UpstreamError {
    /// Whether the upstream may have done what it was asked: a repeat belongs to the same token and the same idempotency key.
    pub const fn leaves_doubt(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Unclear(_))
    }
}

#[async_trait]
pub trait Upstream: Send + Sync {
    async fn submit(&self, secret: &SecretString, job: &UpstreamJob) -> Result<UpstreamAnswer, UpstreamError>;
    async fn poll(&self, secret: &SecretString, upstream_id: &str) -> Result<Progress, UpstreamError>;
    /// `false`: the upstream has no such job, or cannot be told.
    async fn cancel(&self, secret: &SecretString, upstream_id: &str) -> Result<bool, UpstreamError>;
    async fn check(&self, secret: &SecretString) -> Result<TokenCheck, UpstreamError>;
}
