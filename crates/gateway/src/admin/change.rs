//! Operators' changes: made once for each `Idempotency-Key`, and written to the audit trail.
//!
//! What a key was answered with is kept by this gateway alone, for an hour: a repeat on another gateway, or later, is a new change.
//! The ledger has no place for it yet. The audit entry follows the change; when it cannot be written, the log has all of it.

use crate::admit::Operator;
use crate::core::Core;
use crate::idempotency;
use crate::problem::{ApiError, Code};
use crate::request_id::RequestId;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use domain::ids::AuditId;
use domain::ports::accounts::AuditEntry;
use moka::future::Cache;
use serde::Serialize;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

const REMEMBERED_FOR: Duration = Duration::from_secs(3_600);
const REMEMBERED_MOST: u64 = 10_000;
const AUDIT_TRIES: u32 = 3;

/// What a change is answered with.
#[derive(Clone)]
pub(crate) struct Done {
    status: StatusCode,
    body: String,
    subject: Option<String>,
    location: Option<String>,
}

impl Done {
    pub(crate) fn new(status: StatusCode, body: &impl Serialize) -> Result<Self, ApiError> {
        let body = serde_json::to_string(body).map_err(|_| ApiError::internal())?;
        Ok(Self { status, body, subject: None, location: None })
    }

    pub(crate) const fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: String::new(), subject: None, location: None }
    }

    /// The id of what was changed.
    pub(crate) fn subject(mut self, id: &impl ToString) -> Self {
        self.subject = Some(id.to_string());
        self
    }

    pub(crate) fn location(mut self, path: String) -> Self {
        self.location = Some(path);
        self
    }

    fn answer(self, replayed: bool) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(location) = self.location {
            response.insert_header((header::LOCATION, location));
        }
        if replayed {
            response.insert_header(("Idempotency-Replayed", "true"));
        }
        if self.body.is_empty() { response.finish() } else { response.content_type("application/json").body(self.body) }
    }
}

struct Remembered {
    fingerprint: [u8; 32],
    request_id: String,
    done: Done,
}

/// What this gateway answered to which key.
pub(crate) struct Changes {
    remembered: Cache<(String, String), Arc<Remembered>>,
}

impl Default for Changes {
    fn default() -> Self {
        let remembered = Cache::builder().max_capacity(REMEMBERED_MOST).time_to_live(REMEMBERED_FOR).build();
        Self { remembered }
    }
}

/// One change as it was asked for.
pub(crate) struct Change<'a> {
    pub(crate) core: &'a Core,
    pub(crate) operator: &'a Operator,
    pub(crate) request: &'a HttpRequest,
    /// Such as `account.create`.
    pub(crate) action: &'static str,
    /// Of the body, where there is one.
    pub(crate) fingerprint: [u8; 32],
}

impl Change<'_> {
    /// Makes it, unless its key was answered before; then audits it.
    pub(crate) async fn make(
        &self,
        work: impl Future<Output = Result<Done, ApiError>>,
    ) -> Result<HttpResponse, ApiError> {
        let key = idempotency::header(self.request.headers()).map_err(|broken| ApiError::invalid(vec![broken]))?;
        let request_id = self.request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        let work = Box::pin(work);
        let made = async {
            let done = work.await?;
            self.audit(&done, &request_id).await;
            Ok::<_, ApiError>(done)
        };
        let Some(key) = key else { return Ok(made.await?.answer(false)) };
        let place = (format!("{} {}", self.request.method(), self.request.path()), key);
        // Equal requests at once wait for the first and share its answer; failures are not remembered.
        let remembered = self
            .core
            .changes
            .remembered
            .try_get_with(place, async {
                let (fingerprint, request_id) = (self.fingerprint, request_id.clone());
                Ok(Arc::new(Remembered { fingerprint, request_id, done: made.await? }))
            })
            .await
            .map_err(|error: Arc<ApiError>| error.as_ref().clone())?;
        if remembered.fingerprint != self.fingerprint {
            return Err(ApiError::new(Code::IdempotencyKeyReused, "Take a new key for a new request."));
        }
        Ok(remembered.done.clone().answer(remembered.request_id != request_id))
    }

    async fn audit(&self, done: &Done, request_id: &str) {
        let now = self.core.backends.clock.now();
        let actor: String = self.core.settings.admin_key.reveal().chars().take(4).collect();
        let entry = AuditEntry {
            id: AuditId::new(now, rand::random()),
            actor: format!("{actor}…"),
            action: self.action.to_owned(),
            subject: done.subject.clone(),
            address: Some(self.operator.address.0.to_string()),
            request_id: request_id.to_owned(),
            created_at: now,
        };
        for _ in 0..AUDIT_TRIES {
            if self.core.call(self.core.backends.accounts.audit(entry.clone())).await.is_ok() {
                return;
            }
        }
        tracing::error!(
            action = entry.action,
            subject = entry.subject,
            address = entry.address,
            request_id = entry.request_id,
            "an operator's change is not in the audit trail"
        );
    }
}
