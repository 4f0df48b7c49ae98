//! The public JSON forms: what customers and operators read, field for field as documented.

use chrono::SecondsFormat;
use domain::Timestamp;
use domain::account::{Account, KeyRecord};
use domain::credits::CreditEntry;
use domain::event::MilestoneKind;
use domain::generation::{CreditState, Generation, GenerationError, Output};
use domain::ids::{AccountId, EntryId, GenerationId, KeyId};
use domain::ports::generations::Attempt;
use domain::state::{Stage, Status, WaitingOn};
use domain::tier::{Quality, TierLimits, Tiers};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// A moment as shown: RFC 3339, UTC, milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct At(pub(crate) Timestamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

#[derive(Serialize)]
pub(crate) struct Queue {
    pub(crate) position: Option<u64>,
    pub(crate) waiting_on: Option<WaitingOn>,
    pub(crate) estimated_start_at: Option<At>,
}

#[derive(Serialize)]
struct Urls {
    get: String,
    cancel: String,
    events: String,
}

#[derive(Serialize)]
pub(crate) struct ErrorView<'a> {
    code: &'static str,
    message: &'a str,
    retryable: bool,
}

impl<'a> From<&'a GenerationError> for ErrorView<'a> {
    fn from(error: &'a GenerationError) -> Self {
        Self { code: error.code.name(), message: &error.message, retryable: error.code.retryable() }
    }
}

pub(crate) fn path_of(id: GenerationId) -> String {
    format!("/v1/generations/{id}")
}

/// A generation as its customer sees it.
#[derive(Serialize)]
pub(crate) struct GenerationView<'a> {
    id: GenerationId,
    object: &'static str,
    status: Status,
    stage: Option<Stage>,
    prompt: &'a str,
    title: Option<&'a str>,
    style: Option<&'a str>,
    lyrics: Option<&'a str>,
    instrumental: bool,
    duration_seconds: u32,
    quality: Quality,
    metadata: &'a Map<String, Value>,
    credits: CreditState,
    attempts: u32,
    queue: Queue,
    output: Option<&'a Output>,
    error: Option<ErrorView<'a>>,
    created_at: At,
    started_at: Option<At>,
    finished_at: Option<At>,
    cancel_after: At,
    urls: Urls,
}

pub(crate) fn generation(g: &Generation) -> GenerationView<'_> {
    let get = path_of(g.id);
    GenerationView {
        id: g.id,
        object: "generation",
        status: g.status,
        stage: g.stage,
        prompt: &g.request.prompt,
        title: g.request.title.as_deref(),
        style: g.request.style.as_deref(),
        lyrics: g.request.lyrics.as_deref(),
        instrumental: g.request.instrumental,
        duration_seconds: g.request.duration_seconds,
        quality: g.request.quality,
        metadata: &g.request.metadata,
        credits: g.credits(),
        attempts: g.attempts,
        queue: Queue { position: None, waiting_on: g.waiting_on, estimated_start_at: None },
        output: g.output.as_ref(),
        error: g.error.as_ref().map(ErrorView::from),
        created_at: At(g.created_at),
        started_at: g.started_at.map(At),
        finished_at: g.finished_at.map(At),
        cancel_after: At(g.cancel_after),
        urls: Urls { cancel: format!("{get}/cancel"), events: format!("{get}/events"), get },
    }
}

/// As it was when it was accepted: what the first answer said, and what every replay says again.
pub(crate) fn accepted(g: &Generation) -> GenerationView<'_> {
    GenerationView {
        status: Status::Queued,
        stage: Some(Stage::Backlog),
        credits: CreditState { reserved: g.cost, captured: 0, refunded: 0 },
        attempts: 0,
        queue: Queue { position: None, waiting_on: Some(WaitingOn::Capacity), estimated_start_at: None },
        output: None,
        error: None,
        started_at: None,
        finished_at: None,
        ..generation(g)
    }
}

#[derive(Serialize)]
pub(crate) struct MilestoneView {
    kind: MilestoneKind,
    version: u32,
    at: At,
}

#[derive(Serialize)]
struct AttemptView {
    fence: i64,
    worker_id: Option<String>,
    token_id: Option<String>,
    upstream_id: Option<String>,
    outcome: String,
    error: Option<String>,
    started_at: Option<At>,
    ended_at: At,
}

/// A generation as operators see it: the customer's form, and what is behind it.
#[derive(Serialize)]
pub(crate) struct OperatorsGeneration<'a> {
    #[serde(flatten)]
    seen: GenerationView<'a>,
    account_id: AccountId,
    tier: domain::tier::Tier,
    version: u32,
    retry_of: Option<GenerationId>,
    trace_id: Option<&'a str>,
    timeline: Vec<MilestoneView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<AttemptView>>,
}

/// `attempts`: its history, where one generation alone is shown.
pub(crate) fn operators(g: &Generation, attempts: Option<Vec<Attempt>>) -> OperatorsGeneration<'_> {
    let milestones = g.milestones_after(0).into_iter();
    let history = attempts.map(|attempts| {
        let view = |a: Attempt| AttemptView {
            fence: a.fence,
            worker_id: a.worker_id.map(|id| id.to_string()),
            token_id: a.token_id.map(|id| id.to_string()),
            upstream_id: a.upstream_id,
            outcome: a.outcome,
            error: a.error,
            started_at: a.started_at.map(At),
            ended_at: At(a.ended_at),
        };
        attempts.into_iter().map(view).collect()
    });
    OperatorsGeneration {
        seen: generation(g),
        account_id: g.account_id,
        tier: g.tier,
        version: g.version,
        retry_of: g.retry_of,
        trace_id: g.trace_id.as_deref(),
        timeline: milestones.map(|m| MilestoneView { kind: m.kind, version: m.version, at: At(m.at) }).collect(),
        history,
    }
}

pub(crate) fn limits(limits: &TierLimits, backlog_max: u32) -> Value {
    json!({
        "requests_per_minute": limits.requests_per_minute,
        "generations_per_month": limits.generations_per_month,
        "credits_per_month": limits.credits_per_month,
        "duration_seconds": limits.longest_seconds,
        "quality": limits.best_quality,
        "share": limits.share,
        "backlog_max": backlog_max,
    })
}

/// An account as operators see it.
pub(crate) fn account(account: &Account, tiers: &Tiers, backlog_max: u32) -> Value {
    json!({
        "id": account.id,
        "object": "account",
        "name": account.name,
        "email": account.email,
        "tier": account.tier,
        "status": account.status,
        "overrides": account.overrides,
        "limits": limits(&account.limits(tiers), account.overrides.backlog_max.unwrap_or(backlog_max)),
        "created_at": At(account.created_at),
    })
}

#[derive(Serialize)]
pub(crate) struct KeyView<'a> {
    id: KeyId,
    object: &'static str,
    account_id: AccountId,
    name: &'a str,
    prefix: &'a str,
    created_at: At,
    expires_at: Option<At>,
    revoked_at: Option<At>,
    /// Shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

pub(crate) fn key<'a>(record: &'a KeyRecord, key: Option<&'a str>) -> KeyView<'a> {
    KeyView {
        id: record.id,
        object: "api_key",
        account_id: record.account_id,
        name: &record.name,
        prefix: &record.prefix,
        created_at: At(record.created_at),
        expires_at: record.expires_at.map(At),
        revoked_at: record.revoked_at.map(At),
        key,
    }
}

#[derive(Serialize)]
pub(crate) struct EntryView {
    id: EntryId,
    object: &'static str,
    kind: domain::credits::EntryKind,
    bucket: &'static str,
    amount: i64,
    generation_id: Option<GenerationId>,
    reason: Option<String>,
    created_at: At,
}

pub(crate) fn entry(entry: CreditEntry) -> EntryView {
    EntryView {
        id: entry.id,
        object: "credit_entry",
        kind: entry.kind,
        bucket: entry.bucket.name(),
        amount: entry.amount,
        generation_id: entry.generation_id,
        reason: entry.reason,
        created_at: At(entry.created_at),
    }
}
