//! The end of generations: record, work and history in one statement. A batch of successes is that statement alone and touches no account; failures
//! are refunded in the same transaction.

use super::{Outcome, applied, fenced, once};
use crate::books::{self, Refund};
use crate::failure::Failure;
use crate::ledger::{Ledger, commit};
use crate::rows::bucket;
use domain::credits::Month;
use domain::generation::Output;
use domain::ids::{AccountId, GenerationId, WorkerId};
use domain::ports::work::{Applied, Settlement};
use domain::state::Status;
use sqlx::PgConnection;
use sqlx::types::Json;

pub(super) async fn settle(
    ledger: &Ledger,
    worker: WorkerId,
    settlements: &[Settlement],
) -> Result<Vec<Applied>, Failure> {
    if settlements.is_empty() {
        return Ok(Vec::new());
    }
    let (settlements, repeats) = once(settlements, |settlement| &settlement.held);
    if settlements.iter().all(|settlement| settlement.outcome.is_ok()) {
        let mut connection = ledger.connection().await?;
        let (applied, _) = end(&mut connection, worker, &settlements, Failure::unconfirmed).await?;
        return Ok(repeats.spread(&applied));
    }
    let mut transaction = ledger.begin().await?;
    let (applied, refunds) = end(&mut transaction, worker, &settlements, Failure::from).await?;
    books::refund(&mut transaction, &refunds).await?;
    commit(transaction).await?;
    Ok(repeats.spread(&applied))
}

/// Ends what is still held under its fence. What is being closed has ended already, and is left to be told to the upstream.
async fn end(
    connection: &mut PgConnection,
    worker: WorkerId,
    settlements: &[&Settlement],
    failed: fn(sqlx::Error) -> Failure,
) -> Result<(Vec<Applied>, Vec<Refund>), Failure> {
    let (ids, fences) = fenced(settlements.iter().map(|settlement| &settlement.held));
    let upstream_ids: Vec<_> = settlements.iter().map(|settlement| settlement.upstream_id.clone()).collect();
    let (mut statuses, mut outputs, mut codes, mut messages) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for settlement in settlements {
        let (status, output, error) = match &settlement.outcome {
            Ok(output) => (Status::Succeeded, Some(Json(output)), None),
            Err(error) => (Status::Failed, None, Some(error)),
        };
        statuses.push(status.name().to_owned());
        outputs.push(output);
        codes.push(error.map(|error| error.code.name().to_owned()));
        messages.push(error.map(|error| error.message.clone()));
    }
    let rows = sqlx::query!(
        r#"with asked as materialized (
               select * from unnest($2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::text[]) with ordinality
                   as a (generation_id, fence, upstream_id, status, output, error_code, error_message, n)
           ), locked as materialized (
               select w.generation_id, w.fence, w.tier, w.owner, w.token_id, w.state, w.attempts, w.version, w.claimed_at, w.created_at,
                      w.started_at, w.rendering_at, w.started_version, w.rendering_version,
                      a.n, coalesce(a.upstream_id, w.upstream_id) as upstream_id, a.status, a.output, a.error_code, a.error_message
               from (select * from asked order by generation_id limit cardinality($2::uuid[])) a
               cross join lateral (
                   select * from work w where w.generation_id = a.generation_id and a.fence = w.fence and w.owner is not distinct from $1
                   limit 1 for update) w
           ), ended as (
               update generations g
               set status = l.status, output = l.output, error_code = l.error_code, error_message = l.error_message, attempts = l.attempts,
                   started_at = l.started_at, rendering_at = l.rendering_at, finished_at = now(), version = l.version + 1,
                   started_version = l.started_version, rendering_version = l.rendering_version
               from locked l
               where g.id = l.generation_id and g.status = 'open' and l.state in ('submitting', 'rendering')
               returning l.n, g.id, g.account_id, g.version, g.status, g.bucket, g.month, g.error_message,
                         l.fence, l.tier, l.owner, l.token_id, l.upstream_id, l.created_at, l.started_at, l.claimed_at
           ), gone as (
               delete from work w using ended e where w.generation_id = e.id
           ), history as (
               insert into attempts (generation_id, fence, tier, worker_id, token_id, upstream_id, outcome, error, waited_seconds, started_at)
               select id, fence, tier, owner, token_id, upstream_id, status, error_message,
                      extract(epoch from started_at - created_at)::float8, claimed_at
               from ended
               on conflict do nothing
           )
           select n as "n!", id as "id!", false as "closing!", account_id as "account_id?", version as "version?", status as "status?",
                  bucket as "bucket?", month as "month?"
           from ended
           union all
           select n, generation_id, true, null, null, null, null, null from locked where state = 'closing'"#,
        worker.uuid(),
        &ids,
        &fences,
        &upstream_ids as &[Option<String>],
        &statuses,
        &outputs as &[Option<Json<&Output>>],
        &codes as &[Option<String>],
        &messages as &[Option<String>],
    )
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    let (mut outcomes, mut refunds) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        let failed = row.status.as_deref() == Some(Status::Failed.name());
        if let (true, Some(account), Some(month), Some(bucket)) =
            (failed, row.account_id, row.month, bucket(row.bucket.as_deref())?)
        {
            refunds.push(Refund {
                generation_id: GenerationId::from_uuid(row.id),
                account_id: AccountId::from_uuid(account),
                bucket,
                month: Month(month),
            });
        }
        outcomes.push(Outcome { n: row.n, closing: row.closing, account_id: row.account_id, version: row.version });
    }
    Ok((applied(&ids, outcomes), refunds))
}
