//! What can go wrong with a call, and RFC 9457 problems as the API answers them.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The API answered, and refused.
    #[error("{0}")]
    Refused(Box<Problem>),
    #[error("no answer from {host}: {reason}")]
    Unreachable { host: String, reason: String },
    #[error("no answer from {host} within {} s", waited.as_secs())]
    TimedOut { host: String, waited: Duration },
    #[error("an answer that this client does not understand: {0}")]
    BadAnswer(String),
    #[error("the answer is larger than {most} bytes")]
    TooLarge { most: u64 },
    #[error("not a usable address: {0}")]
    BadUrl(String),
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("the generation had not ended after {} s", waited.as_secs())]
    StillRunning { waited: Duration },
}

impl ClientError {
    /// The problem's stable code, where the API answered with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => Some(&problem.code),
            _ => None,
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            _ => None,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(problem) => problem.retry_after,
            _ => None,
        }
    }
}

/// A refusal: `application/problem+json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Problem {
    /// A stable URL path under `/problems/`.
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub title: String,
    pub status: u16,
    #[serde(default)]
    pub detail: String,
    #[serde(default)]
    pub instance: String,
    /// snake_case, stable.
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub request_id: String,
    #[serde(default)]
    pub retryable: bool,
    /// One for each field, query parameter or header that breaks a rule.
    #[serde(default)]
    pub errors: Vec<FieldProblem>,
    /// From the header `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// What else this problem says, such as `resets_at`.
    #[serde(flatten)]
    pub members: Map<String, Value>,
}

/// One broken rule; exactly one of the three places is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FieldProblem {
    /// A JSON Pointer into the body.
    pub pointer: Option<String>,
    /// A query parameter.
    pub parameter: Option<String>,
    /// A request header.
    pub header: Option<String>,
    pub detail: String,
}

impl Problem {
    /// Out of an answer; one that is no problem document (a proxy's, say) becomes a problem of its status alone.
    pub(crate) fn parse(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let parsed = serde_json::from_slice::<Self>(body).ok();
        let problem = parsed.unwrap_or_else(|| Self {
            kind: String::new(),
            title: format!("HTTP {status}"),
            status,
            detail: String::new(),
            instance: String::new(),
            code: String::new(),
            request_id: String::new(),
            retryable: matches!(status, 429 | 502 | 503 | 504),
            errors: Vec::new(),
            retry_after: None,
            members: Map::new(),
        });
        Self { status, retry_after, ..problem }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}", self.title, self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        write!(f, ")")?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        for FieldProblem { pointer, parameter, header, detail } in &self.errors {
            let place = pointer.as_deref().or(parameter.as_deref()).or(header.as_deref()).unwrap_or("?");
            write!(f, "; {place} {detail}")?;
        }
        if !self.request_id.is_empty() {
            write!(f, " [request {}]", self.request_id)?;
        }
        Ok(())
    }
}
