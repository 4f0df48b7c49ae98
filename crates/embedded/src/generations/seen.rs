//! A generation as its readers see it: the customer's record, with what its live work says while it is open.

use crate::outcome::{Outcome, Unwell};
use crate::stored::{from_json, moment, number, perhaps, word};
use domain::Timestamp;
use domain::generation::{ErrorCode, Generation, GenerationError};
use domain::ids::{AccountId, GenerationId};
use domain::state::{Status, WaitingOn, WorkState, seen_as};
use domain::tier::Tier;
use uuid::Uuid;

pub(crate) struct Seen {
    pub(crate) id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) tier: String,
    pub(crate) request: String,
    pub(crate) status: String,
    pub(crate) cost: i64,
    pub(crate) attempts: i64,
    pub(crate) output: Option<String>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) rendering_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    pub(crate) cancel_after: i64,
    pub(crate) version: i64,
    pub(crate) started_version: Option<i64>,
    pub(crate) rendering_version: Option<i64>,
    pub(crate) retry_of: Option<Uuid>,
    pub(crate) trace: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) paused: bool,
    pub(crate) dry_until: Option<i64>,
}

/// A checked query of [`Seen`] rows with the given rest, from its `where` on.
macro_rules! seen {
    ($rest:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            crate::generations::seen::Seen,
            r#"select g.id as "id!: Uuid", g.account_id as "account_id!: Uuid", g.tier as "tier!", g.request as "request!",
                g.status as "status!", g.cost as "cost!", coalesce(w.attempts, g.attempts) as "attempts!: i64",
                g.output as "output?", g.error_code as "error_code?", g.error_message as "error_message?",
                g.created_at as "created_at!", coalesce(w.started_at, g.started_at) as "started_at?: i64",
                coalesce(w.rendering_at, g.rendering_at) as "rendering_at?: i64", g.finished_at as "finished_at?",
                g.cancel_after as "cancel_after!", coalesce(w.version, g.version) as "version!: i64",
                coalesce(w.started_version, g.started_version) as "started_version?: i64",
                coalesce(w.rendering_version, g.rendering_version) as "rendering_version?: i64",
                g.retry_of as "retry_of?: Uuid", g.trace as "trace?", w.state as "state?",
                (select paused from scheduler) as "paused!: bool", (select dry_until from scheduler) as "dry_until?: i64"
            from generations g left join work w on w.generation_id = g.id and g.status = 'open' "#
            + $rest
            $(, $argument)*
        )
    };
}
pub(crate) use seen;

impl Seen {
    pub(crate) fn generation(self, now: Timestamp) -> Outcome<Generation> {
        let (status, stage, waiting_on) = match (self.status.as_str(), &self.state) {
            ("open", Some(state)) => {
                let state = word(WorkState::parse, state)?;
                let (status, stage) = seen_as(state).ok_or_else(|| Unwell::corrupt("an open generation is closing"))?;
                (status, Some(stage), self.waiting_on(state, now)?)
            }
            ("open", None) => return Err(Unwell::corrupt("an open generation without live work")),
            (ended, _) => (word(Status::parse, ended)?, None, None),
        };
        let error = match (self.error_code, self.error_message) {
            (Some(code), message) => {
                Some(GenerationError::new(word(ErrorCode::parse, &code)?, message.unwrap_or_default()))
            }
            (None, _) => None,
        };
        Ok(Generation {
            id: GenerationId::from_uuid(self.id),
            account_id: AccountId::from_uuid(self.account_id),
            tier: word(Tier::parse, &self.tier)?,
            request: from_json(&self.request)?,
            status,
            stage,
            waiting_on,
            attempts: number(self.attempts)?,
            cost: self.cost,
            output: self.output.as_deref().map(from_json).transpose()?,
            error,
            created_at: moment(self.created_at)?,
            started_at: perhaps(self.started_at)?,
            rendering_at: perhaps(self.rendering_at)?,
            finished_at: perhaps(self.finished_at)?,
            cancel_after: moment(self.cancel_after)?,
            version: number(self.version)?,
            started_version: self.started_version.map(number).transpose()?,
            rendering_version: self.rendering_version.map(number).transpose()?,
            retry_of: self.retry_of.map(GenerationId::from_uuid),
            // `traceparent` is version, trace id, span id, flags.
            trace_id: self.trace.as_deref().and_then(|trace| trace.split('-').nth(1)).map(str::to_owned),
        })
    }

    fn waiting_on(&self, state: WorkState, now: Timestamp) -> Outcome<Option<WaitingOn>> {
        let dry = perhaps(self.dry_until)?.is_some_and(|until| until > now);
        Ok(match state {
            WorkState::Backoff => Some(WaitingOn::RetryBackoff),
            WorkState::Ready if self.paused => Some(WaitingOn::Paused),
            WorkState::Ready if dry => Some(WaitingOn::UpstreamTokens),
            WorkState::Ready => Some(WaitingOn::Capacity),
            _ => None,
        })
    }
}
