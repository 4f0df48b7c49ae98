//! Where new upstream tokens come from when the pool is low: a service of the operator's that is asked for them.

use crate::Timestamp;
use crate::token::TokenImport;
use async_trait::async_trait;
use serde::Deserialize;
use uuid::Uuid;

/// A token as sources word it in JSON: as operators do when they import one.
#[derive(Deserialize)]
pub struct Listed {
    secret: String,
    label: Option<String>,
    max_concurrency: Option<u32>,
    requests_per_minute: Option<u32>,
    expires_at: Option<Timestamp>,
}

impl From<Listed> for TokenImport {
    fn from(listed: Listed) -> Self {
        let Listed { secret, label, max_concurrency, requests_per_minute, expires_at } = listed;
        Self { secret: secret.into(), label, max_concurrency, requests_per_minute, expires_at }
    }
}

/// Why no tokens came. Messages are ours: without what was answered, for that has secrets in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error("the token source is out of reach: {0}")]
    Unavailable(String),
    #[error("the token source refused: {0}")]
    Refused(String),
    /// It answered with what is no list of tokens.
    #[error("the token source answered nonsense: {0}")]
    Malformed(String),
}

#[async_trait]
pub trait TokenSource: Send + Sync {
    /// At most `count` tokens, fewer or none where it has no more. Asked again under the same `request` with the same count where an
    /// answer was lost, so that a source that knows its requests gives the same tokens and none is wasted.
    async fn obtain(&self, count: u32, request: Uuid) -> Result<Vec<TokenImport>, SourceError>;
}
