//! The one-second step: backoff that is due, workers that died, what they were submitting, virtual time. Any worker runs it at any time; none
//! waits for another, for rows that one has in hand are passed over.
//!
//! In the usual second it is one statement that finds nothing.

use crate::failure::Failure;
use crate::generations::End;
use crate::ledger::{Ledger, commit};
use crate::rows::{integer, natural_64, seconds};
use domain::generation::{ErrorCode, GenerationError};
use domain::ports::StoreError;
use domain::ports::work::{StepReport, Stepped};
use domain::retry::CRASHES_MOST;
use uuid::Uuid;

/// Rows of each kind that one step may move.
const MOVED_MOST: i64 = 1_000;
/// Submissions that one transaction puts back; a poisonous one is refunded in it.
const REQUEUED_MOST: i64 = 500;
pub(super) async fn step(ledger: &Ledger, report: StepReport) -> Result<Stepped, StoreError> {
    let (mut stepped, left_behind) = ledger.write(|| look_round(ledger, report)).await?;
    if left_behind {
        stepped.requeued = ledger.write(|| requeue(ledger)).await?;
    }
    Ok(stepped)
}

/// Promotes, finds the dead, and moves virtual time, if it moves. Says whether a dead worker left submissions behind.
async fn look_round(ledger: &Ledger, report: StepReport) -> Result<(Stepped, bool), Failure> {
    let mut connection = ledger.connection().await?;
    let row = sqlx::query!(
        r#"with due as materialized (
               select generation_id from work where state = 'backoff' and run_after <= now()
               order by run_after limit $3 for update skip locked
           ), promoted as (
               update work w set state = 'ready' from due where w.generation_id = due.generation_id returning 1
           ), lapsed as materialized (
               select id from workers where state = 'alive' and expires_at <= now() and not $4 order by id for update skip locked
           ), died as (
               update workers d set state = 'dead' from lapsed where d.id = lapsed.id returning d.id
           ), moving as materialized (
               select one from scheduler
               where one and (greatest_tag < $1 or ($2 > 0::float8 and coalesce(dry_until < now() + make_interval(secs => $2), true)))
               for update skip locked
           ), moved as (
               update scheduler s
               set greatest_tag = greatest(s.greatest_tag, $1),
                   dry_until = case when $2 > 0 then greatest(s.dry_until, now() + make_interval(secs => $2)) else s.dry_until end
               from moving where s.one = moving.one
           )
           select (select count(*) from promoted) as "promoted!", (select count(*) from died) as "died!", s.paused,
                  exists (select from workers d
                          cross join lateral (select from work where owner = d.id and state = 'submitting' limit 1) w
                          where d.state = 'dead' or d.expires_at <= now()) as "left_behind!"
           from scheduler s
           where s.one"#,
        report.greatest_tag.0,
        report.dry_for.map_or(0.0, seconds),
        MOVED_MOST,
        report.spares_the_silent,
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    let stepped =
        Stepped { promoted: natural_64(row.promoted), died: natural_64(row.died), requeued: 0, paused: row.paused };
    Ok((stepped, row.left_behind))
}

/// Puts back what dead workers were submitting: its answer is in doubt, so the repeat belongs to the same token. One that has killed too many fails.
async fn requeue(ledger: &Ledger) -> Result<u64, Failure> {
    let mut transaction = ledger.begin().await?;
    let rows = sqlx::query!(
        r#"with left_behind as materialized (
               select w.* from workers d
               cross join lateral (select * from work where owner = d.id and state = 'submitting' limit $1 for update skip locked) w
               where d.state = 'dead' limit $1
           ), history as (
               insert into attempts (generation_id, fence, tier, worker_id, token_id, upstream_id, outcome, error, started_at)
               select generation_id, fence, tier, owner, token_id, upstream_id, case when crashes + 1 >= $2 then 'failed' else 'returned' end,
                      'The worker died while it was submitting.', claimed_at
               from left_behind
               on conflict do nothing
           )
           update work w
           set state = 'ready', run_after = now(), crashes = w.crashes + 1, attempts = greatest(w.attempts - 1, 0), fence = w.fence + 1,
               version = w.version + 1, in_doubt = coalesce(w.in_doubt, w.token_id), owner = null, lease_id = null, token_id = null, claimed_at = null
           from left_behind l where w.generation_id = l.generation_id
           returning w.generation_id, w.crashes >= $2 as "poison!""#,
        REQUEUED_MOST,
        integer(CRASHES_MOST),
    )
    .fetch_all(&mut *transaction)
    .await?;
    let poison: Vec<Uuid> = rows.iter().filter(|row| row.poison).map(|row| row.generation_id).collect();
    if !poison.is_empty() {
        let error = GenerationError::new(ErrorCode::Internal, "Every worker that tried it died.");
        End::failed(error).run(&mut transaction, &poison).await?;
    }
    commit(transaction).await?;
    Ok((rows.len() - poison.len()) as u64)
}
