//! The public JSON forms: what customers and operators read, field for field as documented. Generations here, accounts in [`account`].

pub(crate) mod account;

use crate::openapi::schema;

use chrono::SecondsFormat;
use domain::Timestamp;
use domain::event::MilestoneKind;
use domain::generation::{CreditState, Generation, GenerationError, Output};
use domain::ids::{AccountId, GenerationId};
use domain::ports::generations::Attempt;
use domain::state::{Stage, Status, WaitingOn};
use domain::tier::Quality;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A moment as shown: RFC 3339, UTC, milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct At(pub(crate) Timestamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl PartialSchema for At {
    fn schema() -> RefOr<Schema> {
        schema::time("A moment: RFC 3339, UTC.").into()
    }
}

impl ToSchema for At {
    fn name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }
}

/// Why and for how long it waits; all null unless it is queued.
#[derive(Serialize, ToSchema)]
#[schema(as = QueuePlace)]
pub(crate) struct Queue {
    /// 1 is next of its account. Shown where one generation alone is read.
    pub(crate) position: Option<u64>,
    #[schema(value_type = Option<schema::WaitingOn>)]
    pub(crate) waiting_on: Option<WaitingOn>,
    /// An estimate, at the pace of the last five minutes. Null where nothing was measured.
    pub(crate) estimated_start_at: Option<At>,
}

/// Paths on this server.
#[derive(Serialize, ToSchema)]
struct Urls {
    get: String,
    cancel: String,
    events: String,
}

/// Why it ended without a result.
#[derive(Serialize, ToSchema)]
#[schema(as = GenerationError)]
pub(crate) struct ErrorView<'a> {
    #[schema(value_type = schema::FailureCode)]
    code: &'static str,
    /// For people.
    message: &'a str,
    /// Whether the same request may succeed when it is submitted anew.
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
#[derive(Serialize, ToSchema)]
#[schema(as = Generation)]
pub(crate) struct GenerationView<'a> {
    #[schema(value_type = schema::GenerationId)]
    id: GenerationId,
    /// `generation`
    object: &'static str,
    #[schema(value_type = schema::Status)]
    status: Status,
    /// Null once it has ended.
    #[schema(value_type = Option<schema::Stage>)]
    stage: Option<Stage>,
    prompt: &'a str,
    title: Option<&'a str>,
    style: Option<&'a str>,
    lyrics: Option<&'a str>,
    instrumental: bool,
    duration_seconds: u32,
    #[schema(value_type = schema::Quality)]
    quality: Quality,
    #[schema(value_type = schema::Metadata)]
    metadata: &'a Map<String, Value>,
    #[schema(value_type = schema::CreditState)]
    credits: CreditState,
    /// Calls of the upstream that were started.
    attempts: u32,
    queue: Queue,
    /// The result, once it has succeeded.
    #[schema(value_type = Option<schema::Output>)]
    output: Option<&'a Output>,
    error: Option<ErrorView<'a>>,
    created_at: At,
    /// Its first claim by a worker.
    started_at: Option<At>,
    finished_at: Option<At>,
    /// When it is given up and refunded, if it has not ended by then.
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

impl GenerationView<'_> {
    /// With where it stands in the queue.
    pub(crate) fn standing(self, queue: Queue) -> Self {
        Self { queue, ..self }
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

/// What happened to it, and when.
#[derive(Serialize, ToSchema)]
#[schema(as = TimelineEntry)]
pub(crate) struct MilestoneView {
    #[schema(value_type = schema::Milestone)]
    kind: MilestoneKind,
    version: u32,
    at: At,
}

/// One try: which worker, which token, how it ended.
#[derive(Serialize, ToSchema)]
#[schema(as = Attempt)]
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
#[derive(Serialize, ToSchema)]
pub(crate) struct OperatorsGeneration<'a> {
    #[serde(flatten)]
    seen: GenerationView<'a>,
    #[schema(value_type = schema::AccountId)]
    account_id: AccountId,
    #[schema(value_type = schema::Tier)]
    tier: domain::tier::Tier,
    /// Grows with every change that a customer can see.
    version: u32,
    #[schema(value_type = Option<schema::GenerationId>)]
    retry_of: Option<GenerationId>,
    trace_id: Option<&'a str>,
    timeline: Vec<MilestoneView>,
    /// Each try, where one generation alone is shown.
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
