//! From rows to the domain's types. A word that the domain does not know is a damaged row, not a default.

use crate::failure::Failure;
use domain::Timestamp;
use domain::account::{Account, AccountStatus, Overrides};
use domain::credits::Bucket;
use domain::generation::{ErrorCode, Generation, GenerationError, Output};
use domain::ids::{AccountId, GenerationId};
use domain::request::GenerationRequest;
use domain::state::{Status, WaitingOn, WorkState, seen_as};
use domain::tier::Tier;
use sqlx::types::Json;
use std::time::Duration;
use uuid::Uuid;

/// A stored word as the domain's value.
pub(crate) fn word<T>(parse: impl Fn(&str) -> Option<T>, text: &str, of: &str) -> Result<T, Failure> {
    parse(text).ok_or_else(|| Failure::corrupt(format_args!("unknown {of} {text:?}")))
}

/// A count, kept as `integer` and never below zero.
pub(crate) const fn natural(value: i32) -> u32 {
    if value < 0 { 0 } else { value.unsigned_abs() }
}

pub(crate) const fn natural_64(value: i64) -> u64 {
    if value < 0 { 0 } else { value.unsigned_abs() }
}

/// For binding a count.
pub(crate) fn integer(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// For binding a length of time as seconds; the longest is 30 years, so that no interval overflows.
pub(crate) fn seconds(length: Duration) -> f64 {
    length.as_secs_f64().min(1e9)
}

pub(crate) struct AccountRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) tier: String,
    pub(crate) status: String,
    pub(crate) overrides: Json<Overrides>,
    pub(crate) created_at: Timestamp,
}

impl TryFrom<AccountRow> for Account {
    type Error = Failure;

    fn try_from(row: AccountRow) -> Result<Self, Failure> {
        Ok(Self {
            id: AccountId::from_uuid(row.id),
            name: row.name,
            email: row.email,
            tier: word(Tier::parse, &row.tier, "tier")?,
            status: word(AccountStatus::parse, &row.status, "account status")?,
            overrides: row.overrides.0,
            created_at: row.created_at,
        })
    }
}

pub(crate) fn bucket(text: Option<&str>) -> Result<Option<Bucket>, Failure> {
    text.map(|text| word(Bucket::parse, text, "bucket")).transpose()
}

/// A generation with what its live work says, if it has not ended: [`generations`] selects it.
pub(crate) struct GenerationRow {
    pub(crate) id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) tier: String,
    pub(crate) request: Json<GenerationRequest>,
    pub(crate) status: String,
    pub(crate) state: Option<String>,
    pub(crate) attempts: i32,
    pub(crate) cost: i64,
    pub(crate) output: Option<Json<Output>>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) rendering_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) cancel_after: Timestamp,
    pub(crate) version: i32,
    pub(crate) started_version: Option<i32>,
    pub(crate) rendering_version: Option<i32>,
    pub(crate) retry_of: Option<Uuid>,
    pub(crate) trace: Option<String>,
    pub(crate) paused: bool,
    pub(crate) dry: bool,
}

/// `query_as!` of [`GenerationRow`]s: the one list of columns, with the rest of the statement and its arguments.
macro_rules! generations {
    ($rest:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            crate::rows::GenerationRow,
            r#"select g.id, g.account_id, g.tier, g.request as "request: _", g.status, w.state as "state?",
                      coalesce(w.attempts, g.attempts) as "attempts!", g.cost, g.output as "output: _", g.error_code, g.error_message,
                      g.created_at, coalesce(w.started_at, g.started_at) as started_at,
                      coalesce(w.rendering_at, g.rendering_at) as rendering_at, g.finished_at, g.cancel_after,
                      coalesce(w.version, g.version) as "version!", coalesce(w.started_version, g.started_version) as started_version,
                      coalesce(w.rendering_version, g.rendering_version) as rendering_version, g.retry_of, g.trace,
                      s.paused, coalesce(s.dry_until > now(), false) as "dry!"
               from generations g
               left join work w on w.generation_id = g.id and g.status = 'open'
               join scheduler s on s.one "# + $rest
            $(, $argument)*
        )
    };
}
pub(crate) use generations;

/// Why queued work waits, as far as a reader's one statement can see.
pub(crate) const fn waiting_on(state: WorkState, paused: bool, dry: bool) -> Option<WaitingOn> {
    match state {
        WorkState::Backoff => Some(WaitingOn::RetryBackoff),
        WorkState::Ready if paused => Some(WaitingOn::Paused),
        WorkState::Ready if dry => Some(WaitingOn::UpstreamTokens),
        WorkState::Ready => Some(WaitingOn::Capacity),
        _ => None,
    }
}

/// The trace's id out of a W3C `traceparent`.
pub(crate) fn trace_id(traceparent: Option<&str>) -> Option<String> {
    traceparent?.split('-').nth(1).filter(|id| id.len() == 32).map(str::to_owned)
}

impl TryFrom<GenerationRow> for Generation {
    type Error = Failure;

    fn try_from(row: GenerationRow) -> Result<Self, Failure> {
        let (status, stage, waiting_on) = if row.status == "open" {
            let state = row.state.ok_or_else(|| Failure::corrupt("an open generation without live work"))?;
            let state = word(WorkState::parse, &state, "state")?;
            let (status, stage) =
                seen_as(state).ok_or_else(|| Failure::corrupt("an open generation that is being closed"))?;
            (status, Some(stage), waiting_on(state, row.paused, row.dry))
        } else {
            (word(Status::parse, &row.status, "status")?, None, None)
        };
        let error = match row.error_code {
            Some(code) => {
                let code = word(ErrorCode::parse, &code, "error code")?;
                Some(GenerationError::new(code, row.error_message.unwrap_or_default()))
            }
            None => None,
        };
        Ok(Self {
            id: GenerationId::from_uuid(row.id),
            account_id: AccountId::from_uuid(row.account_id),
            tier: word(Tier::parse, &row.tier, "tier")?,
            request: row.request.0,
            status,
            stage,
            waiting_on,
            attempts: natural(row.attempts),
            cost: row.cost,
            output: row.output.map(|output| output.0),
            error,
            created_at: row.created_at,
            started_at: row.started_at,
            rendering_at: row.rendering_at,
            finished_at: row.finished_at,
            cancel_after: row.cancel_after,
            version: natural(row.version),
            started_version: row.started_version.map(natural),
            rendering_version: row.rendering_version.map(natural),
            retry_of: row.retry_of.map(GenerationId::from_uuid),
            trace_id: trace_id(row.trace.as_deref()),
        })
    }
}

/// All rows, or the first damage among them.
pub(crate) fn all<R, T: TryFrom<R, Error = Failure>>(rows: Vec<R>) -> Result<Vec<T>, Failure> {
    rows.into_iter().map(T::try_from).collect()
}

#[cfg(test)]
mod tests {
    use super::trace_id;

    #[test]
    fn the_trace_s_id_is_the_second_part_of_a_traceparent() {
        let id = trace_id(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert_eq!(id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(trace_id(Some("nonsense")), None);
        assert_eq!(trace_id(None), None);
    }
}
