//! The end of a generation's record: final for good, refunded where it gave no result, and told in the history.
//!
//! Settling, canceling, deadlines and poison all end here. What becomes of the work row is the caller's business.

use crate::accounts::purse;
use crate::outcome::{Outcome, Unwell};
use crate::stored::{micros, number, to_json, word};
use crate::work::history;
use crate::work::live::Live;
use domain::Timestamp;
use domain::credits::{Bucket, Month};
use domain::event::Change;
use domain::generation::{GenerationError, Output};
use domain::state::Status;
use sqlx::sqlite::SqliteConnection;

pub(crate) enum Ending<'a> {
    Succeeded(&'a Output),
    Failed(&'a GenerationError),
    Canceled(&'a GenerationError),
}

impl<'a> Ending<'a> {
    const fn status(&self) -> Status {
        match self {
            Self::Succeeded(_) => Status::Succeeded,
            Self::Failed(_) => Status::Failed,
            Self::Canceled(_) => Status::Canceled,
        }
    }

    const fn error(&self) -> Option<&'a GenerationError> {
        match self {
            Self::Succeeded(_) => None,
            Self::Failed(error) | Self::Canceled(error) => Some(error),
        }
    }
}

pub(crate) async fn end(
    connection: &mut SqliteConnection,
    now: Timestamp,
    live: &Live,
    ending: &Ending<'_>,
) -> Outcome<Change> {
    let (id, status, finished_at, version) =
        (live.id.uuid(), ending.status().name(), micros(now), i64::from(live.version) + 1);
    let output = match ending {
        Ending::Succeeded(output) => Some(to_json(output)?),
        Ending::Failed(_) | Ending::Canceled(_) => None,
    };
    let (code, message) = (ending.error().map(|e| e.code.name()), ending.error().map(|e| e.message.as_str()));
    let ended = sqlx::query!(
        r#"update generations set status = ?, attempts = ?, output = ?, error_code = ?, error_message = ?, started_at = ?,
            rendering_at = ?, finished_at = ?, version = ?, started_version = ?, rendering_version = ?
        where id = ? and status = 'open' returning bucket, month"#,
        status,
        live.attempts,
        output,
        code,
        message,
        live.started_at,
        live.rendering_at,
        finished_at,
        version,
        live.started_version,
        live.rendering_version,
        id
    )
    .fetch_optional(&mut *connection)
    .await?
    .ok_or_else(|| Unwell::corrupt("live work of a generation that has ended"))?;
    if let (Some(bucket), Some(_)) = (&ended.bucket, ending.error()) {
        let (bucket, month) = (word(Bucket::parse, bucket)?, Month(number(ended.month)?));
        purse::refund(connection, now, live.account_id, live.id, bucket, month).await?;
    }
    history::record(connection, now, live, status, message).await?;
    Ok(Change { id: live.id, account_id: live.account_id, version: number(version)?, progress: None })
}
