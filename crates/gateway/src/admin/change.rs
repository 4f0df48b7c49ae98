//! Operators' changes: each in the audit trail, and made once for each `Idempotency-Key`, whichever gateway hears of it.
//!
//! What the ledger changes itself is an [`Order`]: change, audit entry and the key's answer are one transaction. What the token pool or many
//! transactions change is made first and told to the ledger after it; each of those may be made again without harm, and is when a gateway dies in
//! between and the operator asks again. When such an entry cannot be written, the log has all of it.

use super::sealed::Seal;
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
use domain::ports::operators::{Acted, Deed, Earlier, Order, Outcome};
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Equal changes at once wait for the first of them; the ledger knows of those that come later.
const JOINED_FOR: Duration = Duration::from_secs(2);
const JOINED_MOST: u64 = 10_000;
const TOLD_TRIES: u32 = 3;
const MADE_ALL_THE_SAME: &str = "Another request with this key was made elsewhere at the same moment. This one was made as well, and is in the audit trail; take a new key for a new request.";

/// What a change is answered with.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Done {
    status: u16,
    body: String,
    location: Option<String>,
    #[serde(skip)]
    subject: Option<String>,
}

impl Done {
    pub(crate) fn new(status: StatusCode, body: &impl Serialize) -> Result<Self, ApiError> {
        let body = serde_json::to_string(body).map_err(|_| ApiError::internal())?;
        Ok(Self { status: status.as_u16(), body, subject: None, location: None })
    }

    pub(crate) const fn empty() -> Self {
        Self { status: 204, body: String::new(), subject: None, location: None }
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

    fn answer(self, replayed: bool) -> Result<HttpResponse, ApiError> {
        let status = StatusCode::from_u16(self.status).map_err(|_| ApiError::internal())?;
        let mut response = HttpResponse::build(status);
        if let Some(location) = self.location {
            response.insert_header((header::LOCATION, location));
        }
        if replayed {
            response.insert_header(("Idempotency-Replayed", "true"));
        }
        Ok(if self.body.is_empty() {
            response.finish()
        } else {
            response.content_type("application/json").body(self.body)
        })
    }
}

/// What a change that was made elsewhere was answered with, and whose it was.
struct Made {
    entry: AuditId,
    fingerprint: [u8; 32],
    done: Done,
}

/// What is being made by this gateway, by its key's hash.
pub(crate) struct Changes {
    joined: Cache<[u8; 32], Arc<Made>>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { joined: Cache::builder().max_capacity(JOINED_MOST).time_to_live(JOINED_FOR).build() }
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
    /// Has the ledger carry it out. `show` makes the answer of what came of it, and is called again for what is kept; `after` follows a change that was
    /// made by this very request.
    pub(crate) async fn order(
        &self,
        order: Order,
        subject: Option<String>,
        show: impl Fn(&Outcome) -> Result<Done, ApiError> + Send + Sync,
        after: impl FnOnce(&Outcome),
    ) -> Result<HttpResponse, ApiError> {
        let (seal, entry) = (self.seal()?, self.entry(subject));
        let key = seal.as_ref().map(Seal::key);
        let keep = |outcome: &Outcome| match &seal {
            Some(seal) => show(outcome).ok().and_then(|done| seal.seal(&done)).unwrap_or_default(),
            None => Vec::new(),
        };
        let deed = Deed { entry: entry.clone(), key, answer: &keep };
        match self.core.call(self.core.backends.operators.act(&order, &deed)).await? {
            Acted::Done(outcome) => {
                after(&outcome);
                show(&outcome)?.answer(false)
            }
            Acted::Earlier(earlier) => self.replay(seal.as_ref(), &entry, &earlier),
            Acted::NotFound => Err(ApiError::not_found()),
            Acted::AlreadyFinal(generation) => Err(ApiError::already_final(generation.status)),
        }
    }

    /// Makes it elsewhere, by `work`, and tells the ledger. `work` may be done twice with one key where a gateway dies.
    pub(crate) async fn make(
        &self,
        work: impl Future<Output = Result<Done, ApiError>>,
    ) -> Result<HttpResponse, ApiError> {
        let (seal, work) = (self.seal()?, Box::pin(work));
        let Some(seal) = seal else {
            let done = work.await?;
            self.tell(self.entry(done.subject.clone()), None, &done).await;
            return done.answer(false);
        };
        let asked = self.entry(None);
        if let Some(earlier) = self.core.call(self.core.backends.operators.earlier(&seal.key())).await? {
            return self.replay(Some(&seal), &asked, &earlier);
        }
        let made = async {
            let done = work.await?;
            let entry = AuditEntry { subject: done.subject.clone(), ..asked.clone() };
            if let Some(other) = self.tell(entry.clone(), Some(&seal), &done).await {
                // Another gateway made a change with this key at the same time and told it first. This one is made all the same.
                self.tell(entry, None, &done).await;
                if other.fingerprint != self.fingerprint {
                    return Err(ApiError::new(Code::IdempotencyKeyReused, MADE_ALL_THE_SAME));
                }
            }
            Ok::<_, ApiError>(Arc::new(Made { entry: asked.id, fingerprint: self.fingerprint, done }))
        };
        // Failures are not remembered.
        let joined = self.core.changes.joined.try_get_with(seal.key().hash, made).await;
        let joined = joined.map_err(|error: Arc<ApiError>| error.as_ref().clone())?;
        if joined.fingerprint != self.fingerprint {
            return Err(reused());
        }
        joined.done.clone().answer(joined.entry != asked.id)
    }

    /// A key for what is submitted on the way, `None` where the change has none: the same change submits the same thing once.
    pub(crate) fn key_of(&self, part: &impl ToString) -> Result<Option<String>, ApiError> {
        Ok(self.seal()?.map(|seal| seal.key_of(&part.to_string())))
    }

    /// The same for the same change wherever it is made, `None` where it has no key.
    pub(crate) fn uuid(&self) -> Result<Option<Uuid>, ApiError> {
        let first = |seal: Seal| {
            let mut first = [0; 16];
            first.copy_from_slice(&seal.key().hash[..16]);
            Uuid::from_bytes(first)
        };
        Ok(self.seal()?.map(first))
    }

    fn seal(&self) -> Result<Option<Seal>, ApiError> {
        let key = idempotency::header(self.request.headers()).map_err(|broken| ApiError::invalid(vec![broken]))?;
        let call = format!("{} {}", self.request.method(), self.request.path());
        Ok(key.map(|key| Seal::new(&self.core.settings.pepper, &call, &key, self.fingerprint)))
    }

    fn replay(&self, seal: Option<&Seal>, entry: &AuditEntry, earlier: &Earlier) -> Result<HttpResponse, ApiError> {
        if earlier.fingerprint != self.fingerprint {
            return Err(reused());
        }
        let done = seal.and_then(|seal| seal.open(&earlier.answer)).ok_or_else(|| {
            tracing::error!("what an operator's key was answered with does not open: has API_KEY_PEPPER changed?");
            ApiError::internal()
        })?;
        done.answer(earlier.entry != entry.id)
    }

    fn entry(&self, subject: Option<String>) -> AuditEntry {
        let now = self.core.backends.clock.now();
        let actor: String = self.core.settings.admin_key.reveal().chars().take(4).collect();
        AuditEntry {
            id: AuditId::new(now, rand::random()),
            actor: format!("{actor}…"),
            action: self.action.to_owned(),
            subject,
            address: Some(self.operator.address.0.to_string()),
            request_id: self.request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
            created_at: now,
        }
    }

    /// Answers what the key stands for already, where that is another change: then nothing was told.
    async fn tell(&self, entry: AuditEntry, seal: Option<&Seal>, done: &Done) -> Option<Earlier> {
        let keep = |_: &Outcome| seal.and_then(|seal| seal.seal(done)).unwrap_or_default();
        let deed = Deed { entry, key: seal.map(Seal::key), answer: &keep };
        for _ in 0..TOLD_TRIES {
            match self.core.call(self.core.backends.operators.act(&Order::Told, &deed)).await {
                Ok(Acted::Earlier(earlier)) => return Some(earlier).filter(|earlier| earlier.entry != deed.entry.id),
                Ok(_) => return None,
                Err(_) => {}
            }
        }
        let AuditEntry { action, subject, address, request_id, .. } = deed.entry;
        tracing::error!(action, subject, address, request_id, "an operator's change is not in the audit trail");
        None
    }
}

fn reused() -> ApiError {
    ApiError::new(Code::IdempotencyKeyReused, "Take a new key for a new request.")
}
