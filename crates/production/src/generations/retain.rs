//! What is forgotten: job history beyond its count, idempotency keys and dead workers after a day, results after their time. Credits and accounts
//! never are.
//!
//! One step of at most 500 rows of each kind, each in a short transaction of its own, off the hot path.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::seconds;
use domain::ports::StoreError;
use std::time::Duration;

const STEP: i64 = 500;
/// The ledger's words for how a try ended. Each is trimmed to a count of its own, so that retries never push out failures.
const OUTCOMES: [&str; 6] = ["succeeded", "failed", "retried", "returned", "adopted", "canceled"];

pub(super) async fn retain(
    ledger: &Ledger,
    succeeded: u32,
    failed: u32,
    results_for: Duration,
) -> Result<u64, StoreError> {
    let history = ledger.write(|| history(ledger, succeeded, failed)).await?;
    let keys = ledger.write(|| keys(ledger)).await?;
    let keys = keys + ledger.write(|| operators_keys(ledger)).await?;
    let results = ledger.write(|| results(ledger, results_for)).await?;
    let workers = ledger.write(|| workers(ledger)).await?;
    Ok(history + keys + results + workers)
}

async fn history(ledger: &Ledger, succeeded: u32, failed: u32) -> Result<u64, Failure> {
    let outcomes = OUTCOMES.map(str::to_owned);
    let keep = OUTCOMES.map(|outcome| i64::from(if outcome == "succeeded" { succeeded } else { failed }));
    let mut connection = ledger.connection().await?;
    let gone = sqlx::query!(
        r#"delete from attempts where ctid = any(array(
               select old.ctid
               from unnest($1::text[], $2::bigint[]) as kept (outcome, count)
               cross join lateral (
                   select ctid from attempts where outcome = kept.outcome
                   order by ended_at desc, generation_id desc, fence desc offset kept.count limit $3) old
               limit $3))"#,
        &outcomes,
        &keep,
        STEP,
    )
    .execute(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(gone.rows_affected())
}

async fn keys(ledger: &Ledger) -> Result<u64, Failure> {
    let mut connection = ledger.connection().await?;
    let gone = sqlx::query!(
        r#"delete from idempotency_keys k using (
               select account_id, key from idempotency_keys where created_at < now() - interval '24 hours'
               order by created_at limit $1 for update skip locked) old
           where k.account_id = old.account_id and k.key = old.key"#,
        STEP,
    )
    .execute(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(gone.rows_affected())
}

async fn operators_keys(ledger: &Ledger) -> Result<u64, Failure> {
    let mut connection = ledger.connection().await?;
    let gone = sqlx::query!(
        r#"delete from operator_keys k using (
               select hash from operator_keys where created_at < now() - interval '24 hours'
               order by created_at limit $1 for update skip locked) old
           where k.hash = old.hash"#,
        STEP,
    )
    .execute(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(gone.rows_affected())
}

/// An id begins with the milliseconds of its making, so the oldest results are the first of the primary key: the search ends at the first id that is
/// too young, whatever the table holds.
async fn results(ledger: &Ledger, results_for: Duration) -> Result<u64, Failure> {
    let mut connection = ledger.connection().await?;
    let gone = sqlx::query!(
        r#"delete from generations g using (
               select o.id from generations o
               where o.id < (lpad(to_hex((extract(epoch from now() - make_interval(secs => $1) + interval '1 second') * 1000)::bigint), 12, '0')
                             || '00000000000000000000')::uuid
                 and o.status <> 'open' and o.finished_at <= now() - make_interval(secs => $1)
                 and not exists (select from work w where w.generation_id = o.id)
               order by o.id limit $2) old
           where g.id = old.id"#,
        seconds(results_for),
        STEP,
    )
    .execute(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(gone.rows_affected())
}

/// Dead workers that own nothing any more.
async fn workers(ledger: &Ledger) -> Result<u64, Failure> {
    let mut connection = ledger.connection().await?;
    let gone = sqlx::query!(
        r#"delete from workers g using (
               select d.id from workers d
               where d.state = 'dead' and d.renewed_at < now() - interval '24 hours'
                 and not exists (select from work w where w.owner = d.id)
               limit $1 for update skip locked) old
           where g.id = old.id"#,
        STEP,
    )
    .execute(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(gone.rows_affected())
}
