//! The customer's record ended without a result: by a cancel, by the deadline, or because a generation kills its workers. One transaction
//! ends it and refunds it; of two that would end it, the one that has the work row's lock first wins.

use crate::books::{self, Refund};
use crate::failure::Failure;
use crate::ledger::{Ledger, commit};
use crate::rows::{bucket, natural};
use domain::credits::Month;
use domain::event::Change;
use domain::generation::{CanceledBy, GenerationError};
use domain::ids::{AccountId, GenerationId};
use domain::ports::generations::Scope;
use domain::state::Status;
use sqlx::PgConnection;
use uuid::Uuid;

/// How a record ends: `canceled` or `failed`, and why.
pub(crate) struct End {
    status: Status,
    error: GenerationError,
}

/// What was ended, and whether a worker owned it.
pub(crate) struct Ended {
    pub(crate) change: Change,
    pub(crate) was_owned: bool,
}

impl End {
    pub(crate) fn canceled(by: CanceledBy) -> Self {
        Self { status: Status::Canceled, error: by.error() }
    }

    pub(crate) const fn failed(error: GenerationError) -> Self {
        Self { status: Status::Failed, error }
    }

    /// Ends those of the given that have not ended, and refunds them. What a worker owns is left behind as `closing`; the rest of the work goes.
    pub(crate) async fn run(&self, connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Ended>, Failure> {
        let rows = sqlx::query!(
            r#"with locked as materialized (
                   select * from work where generation_id = any($1) and state <> 'closing' order by generation_id for update
               ), ended as (
                   update generations g
                   set status = $2, error_code = $3, error_message = $4, attempts = l.attempts, started_at = l.started_at,
                       rendering_at = l.rendering_at, finished_at = now(), version = l.version + 1, started_version = l.started_version,
                       rendering_version = l.rendering_version
                   from locked l
                   where g.id = l.generation_id and g.status = 'open'
                   returning g.id, g.account_id, g.version, g.cost, g.bucket, g.month
               ), gone as (
                   delete from work w using locked l
                   where w.generation_id = l.generation_id and l.owner is null
               ), closing as (
                   update work w set state = 'closing', version = w.version + 1 from locked l
                   where w.generation_id = l.generation_id and l.owner is not null
               )
               select e.id, e.account_id, e.version, e.cost, e.bucket, e.month, l.owner is not null as "was_owned!"
               from ended e join locked l on l.generation_id = e.id order by e.id"#,
            ids,
            self.status.name(),
            self.error.code.name(),
            self.error.message,
        )
        .fetch_all(&mut *connection)
        .await?;
        let (mut ended, mut refunds) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let (id, account_id) = (GenerationId::from_uuid(row.id), AccountId::from_uuid(row.account_id));
            if let Some(bucket) = bucket(row.bucket.as_deref())? {
                refunds.push(Refund { generation_id: id, account_id, bucket, month: Month(row.month) });
            }
            let change = Change { id, account_id, version: natural(row.version), progress: None };
            ended.push(Ended { change, was_owned: row.was_owned });
        }
        books::refund(connection, &refunds).await?;
        Ok(ended)
    }
}

/// Whether a worker owned it; `None` when there was nothing to cancel.
pub(super) async fn cancel(
    ledger: &Ledger,
    scope: Scope,
    id: GenerationId,
    by: CanceledBy,
) -> Result<Option<bool>, Failure> {
    let mut transaction = ledger.begin().await?;
    // Whose it is never changes, so this needs no lock.
    let owner = sqlx::query_scalar!("select account_id from generations where id = $1", id.uuid())
        .fetch_optional(&mut *transaction)
        .await?;
    let may = match scope {
        Scope::Everyone => owner.is_some(),
        Scope::Account(account) => owner == Some(account.uuid()),
    };
    if !may {
        return Ok(None);
    }
    let ended = End::canceled(by).run(&mut transaction, &[id.uuid()]).await?;
    commit(transaction).await?;
    Ok(ended.first().map(|ended| ended.was_owned))
}
