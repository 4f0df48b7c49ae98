//! The end of generations: record, work and history in one statement. A batch of successes is that statement alone and touches no account; failures
//! are refunded in the same transaction.

use super::{Outcome, fenced, once};
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
               select w.*, a.n from work w join asked a on a.generation_id = w.generation_id and a.fence = w.fence
               where w.owner is not distinct from $1 order by w.generation_id for update of w
           ), ended as (
               update generations g
               set status = a.status, output = a.output, error_code = a.error_code, error_message = a.error_message, attempts = l.attempts,
                   started_at = l.started_at, rendering_at = l.rendering_at, finished_at = now(), version = l.version + 1,
                   started_version = l.started_version, rendering_version = l.rendering_version
               from locked l join asked a using (n)
               where g.id = l.generation_id and g.status = 'open' and l.state in ('submitting', 'rendering')
               returning a.n, g.id, g.account_id, g.version, g.status, g.bucket, g.month
           ), gone as (
               delete from work w using ended e where w.generation_id = e.id
           ), history as (
               insert into attempts (generation_id, fence, tier, worker_id, token_id, upstream_id, outcome, error, waited_seconds, started_at)
               select l.generation_id, l.fence, l.tier, l.owner, l.token_id, coalesce(a.upstream_id, l.upstream_id), a.status,
                      a.error_message, extract(epoch from l.started_at - l.created_at)::float8, l.claimed_at
               from ended e join locked l using (n) join asked a using (n)
               on conflict do nothing
           )
           select a.generation_id as "id!", coalesce(l.state = 'closing', false) as "closing!", e.account_id as "account_id?",
                  e.version as "version?", e.status as "status?", e.bucket as "bucket?", e.month as "month?"
           from asked a left join locked l using (n) left join ended e using (n)
           order by a.n"#,
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
    let (mut applied, mut refunds) = (Vec::with_capacity(rows.len()), Vec::new());
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
        let outcome = Outcome { id: row.id, closing: row.closing, account_id: row.account_id, version: row.version };
        applied.push(outcome.into());
    }
    Ok((applied, refunds))
}
