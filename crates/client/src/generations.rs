//! Submitting generations, reading them, cancelling them, and waiting for their end.

use crate::Client;
use crate::error::ClientError;
use crate::page::{Page, PageQuery};
use crate::transport::{IDEMPOTENCY_KEY, seconds};
use crate::types::{Explanation, Generation};
use domain::Timestamp;
use domain::ids::GenerationId;
use domain::state::Status;
use domain::tier::Quality;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderName};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const CANCEL_AFTER: HeaderName = HeaderName::from_static("cancel-after");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How often [`Client::wait`] looks when nothing tells it otherwise: growing up to this.
const LOOK_LONGEST: Duration = Duration::from_secs(5);

/// What is asked for. Only the prompt is required; the API has the rules.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NewGeneration {
    pub prompt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lyrics: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instrumental: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// One submission, with what its headers say.
#[derive(Debug, Clone, Default)]
pub struct Submission {
    pub request: NewGeneration,
    /// Without one the submission is never sent twice.
    pub idempotency_key: Option<String>,
    /// Whole seconds; give up, and refund, when it has not ended by then.
    pub cancel_after: Option<Duration>,
    /// Whole seconds; hold the request until it ends or this passes.
    pub wait: Option<Duration>,
}

impl Submission {
    /// A prompt with a fresh idempotency key, so that a lost answer is asked for again.
    pub fn of(prompt: impl Into<String>) -> Self {
        Self {
            request: NewGeneration { prompt: prompt.into(), ..NewGeneration::default() },
            idempotency_key: Some(crate::fresh_key()),
            ..Self::default()
        }
    }
}

/// An accepted submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    pub generation: Generation,
    /// The key was used before: this is the first answer again.
    pub replayed: bool,
    /// When a first look is worth it.
    pub retry_after: Option<Duration>,
    /// It ended while the request was held.
    pub ended: bool,
}

/// Which generations.
#[derive(Debug, Clone, Default)]
pub struct GenerationQuery {
    pub status: Option<Status>,
    pub created_after: Option<Timestamp>,
    pub created_before: Option<Timestamp>,
    pub page: PageQuery,
}

impl Client {
    pub async fn submit(&self, submission: &Submission) -> Result<Submitted, ClientError> {
        let mut call = self.transport.post("v1/generations").json(&submission.request)?;
        if let Some(key) = &submission.idempotency_key {
            call = call.header(IDEMPOTENCY_KEY, key)?;
        }
        if let Some(after) = submission.cancel_after {
            call = call.header(CANCEL_AFTER, &format!("{}s", after.as_secs()))?;
        }
        if let Some(wait) = submission.wait {
            call = call.header(PREFER, &format!("wait={}", wait.as_secs()))?;
            call = call.longest(wait + Duration::from_secs(15));
        }
        let answer = self.transport.send(call).await?;
        Ok(Submitted {
            generation: answer.json()?,
            replayed: answer.headers.get(REPLAYED).is_some_and(|value| value.as_bytes() == b"true"),
            retry_after: seconds(&answer.headers, &header::RETRY_AFTER),
            ended: answer.status == StatusCode::OK,
        })
    }

    pub async fn generation(&self, id: GenerationId) -> Result<Generation, ClientError> {
        self.transport.json(self.transport.get(&format!("v1/generations/{id}"))).await
    }

    pub async fn generations(&self, query: &GenerationQuery) -> Result<Page<Generation>, ClientError> {
        let call = self
            .transport
            .get("v1/generations")
            .maybe("status", query.status.map(Status::name))
            .maybe("created_after", query.created_after.map(|at| at.to_rfc3339()))
            .maybe("created_before", query.created_before.map(|at| at.to_rfc3339()))
            .page(&query.page);
        self.transport.json(call).await
    }

    /// # Errors
    /// [`ClientError::Refused`] with `already_final` when it had ended.
    pub async fn cancel(&self, id: GenerationId) -> Result<Generation, ClientError> {
        self.transport.json(self.transport.post(&format!("v1/generations/{id}/cancel")).once()).await
    }

    pub async fn explain(&self, id: GenerationId) -> Result<Explanation, ClientError> {
        self.transport.json(self.transport.get(&format!("v1/generations/{id}/explain"))).await
    }

    /// Looks until it has ended, whatever it ends as. Where progress matters, follow [`Client::events`] instead.
    ///
    /// # Errors
    /// [`ClientError::StillRunning`] when `longest` passes first.
    pub async fn wait(&self, id: GenerationId, longest: Duration) -> Result<Generation, ClientError> {
        let begin = Instant::now();
        let mut pause = Duration::from_millis(100);
        loop {
            let generation = self.generation(id).await?;
            if generation.status.is_final() {
                return Ok(generation);
            }
            let waited = begin.elapsed();
            if waited >= longest {
                return Err(ClientError::StillRunning { waited });
            }
            tokio::time::sleep(pause.min(longest - waited)).await;
            pause = (pause * 3 / 2).min(LOOK_LONGEST);
        }
    }
}
