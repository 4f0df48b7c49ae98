//! The customer's record ended without a result: by a cancel, by the deadline, or because a generation kills its workers. One statement ends it
//! under its work row's lock, so that of two that would end it the first wins; the refund belongs to the same transaction.

use crate::books::{self, Refund};
use crate::failure::Failure;
use crate::rows::{bucket, natural};
use domain::credits::Month;
use domain::event::Change;
use domain::generation::{CanceledBy, GenerationError};
use domain::ids::{AccountId, GenerationId};
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
                   returning g.id, g.account_id, g.version, g.cost, g.bucket, g.month, l.fence, l.tier, l.owner, l.token_id, l.upstream_id,
                             l.created_at, l.started_at, l.claimed_at
               ), history as (
                   -- What waits has no try of its own to tell of: its line gets the next fence, which is nobody's.
                   insert into attempts (generation_id, fence, tier, worker_id, token_id, upstream_id, outcome, error, waited_seconds, started_at)
                   select id, case when owner is null then fence + 1 else fence end, tier, owner, token_id, upstream_id, 'canceled', $4,
                          extract(epoch from started_at - created_at)::float8, claimed_at
                   from ended where $2 = 'canceled'
                   on conflict do nothing
               ), gone as (
                   delete from work w using locked l
                   where w.generation_id = l.generation_id and l.owner is null
               ), closing as (
                   -- All that the row's checks compare is set: they are first asked of the row as the snapshot has it, which a claim
                   -- that committed meanwhile may have left without an owner.
                   update work w set state = 'closing', version = l.version + 1, owner = l.owner, lease_id = l.lease_id,
                          token_id = l.token_id
                   from locked l
                   where w.generation_id = l.generation_id and l.owner is not null
               )
               select id, account_id, version, cost, bucket, month, owner is not null as "was_owned!" from ended order by id"#,
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
