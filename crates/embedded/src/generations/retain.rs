//! What is forgotten, a step at a time: history beyond its count, keys beyond their day, results beyond their keeping, dead workers.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::{earlier, moment};
use chrono::TimeDelta;
use domain::Timestamp;
use domain::ids::GenerationId;
use sqlx::sqlite::SqliteConnection;
use std::time::Duration;

const STEP: i64 = 500;
const KEYS_HOLD: Duration = Duration::from_secs(24 * 3_600);
/// How long a dead worker that owns nothing stays on record.
const DEAD_HOLD: Duration = Duration::from_secs(24 * 3_600);

/// Counts hold for each outcome of a try by itself: `succeeded` for successes, `failed` for each of the others.
pub(super) async fn retain(ledger: &Ledger, succeeded: u32, failed: u32, results_for: Duration) -> Outcome<u64> {
    let (mut transaction, now) = ledger.write().await?;
    let mut left = STEP;
    for outcome in ["succeeded", "failed", "retried", "returned", "adopted", "canceled"] {
        let keep = if outcome == "succeeded" { succeeded } else { failed };
        left -= trim_history(&mut transaction, outcome, keep, left).await?;
    }
    left -= forget_keys(&mut transaction, now, left).await?;
    left -= forget_operators_keys(&mut transaction, now, left).await?;
    left -= forget_results(&mut transaction, now, results_for, left).await?;
    left -= forget_workers(&mut transaction, now, left).await?;
    commit(transaction).await?;
    Ok(u64::try_from(STEP - left).unwrap_or(0))
}

async fn trim_history(connection: &mut SqliteConnection, outcome: &str, keep: u32, most: i64) -> Outcome<i64> {
    let gone = sqlx::query!(
        "delete from attempts where rowid in (
            select rowid from attempts where outcome = ? order by ended_at desc, rowid desc limit ? offset ?)",
        outcome,
        most,
        keep
    )
    .execute(connection)
    .await?;
    Ok(gone.rows_affected().cast_signed())
}

async fn forget_keys(connection: &mut SqliteConnection, now: Timestamp, most: i64) -> Outcome<i64> {
    let before = earlier(now, KEYS_HOLD);
    let gone = sqlx::query!(
        "delete from idempotency_keys where rowid in (
            select rowid from idempotency_keys where created_at < ? order by created_at limit ?)",
        before,
        most
    )
    .execute(connection)
    .await?;
    Ok(gone.rows_affected().cast_signed())
}

async fn forget_operators_keys(connection: &mut SqliteConnection, now: Timestamp, most: i64) -> Outcome<i64> {
    let before = earlier(now, KEYS_HOLD);
    let gone = sqlx::query!(
        "delete from operator_keys where rowid in (
            select rowid from operator_keys where created_at < ? order by created_at limit ?)",
        before,
        most
    )
    .execute(connection)
    .await?;
    Ok(gone.rows_affected().cast_signed())
}

/// Ids carry the moment of their making, so those before the cutoff are all in one range of the primary key.
async fn forget_results(
    connection: &mut SqliteConnection,
    now: Timestamp,
    results_for: Duration,
    most: i64,
) -> Outcome<i64> {
    let before = earlier(now, results_for);
    // An id's moment is the gateway's view of this clock: a second covers their difference.
    let below = GenerationId::new(moment(before)? + TimeDelta::seconds(1), [0; 10]).uuid();
    let gone = sqlx::query!(
        "delete from generations where rowid in (
            select g.rowid from generations g
            where g.id < ? and g.finished_at < ? and not exists (select 1 from work w where w.generation_id = g.id)
            order by g.id limit ?)",
        below,
        before,
        most
    )
    .execute(connection)
    .await?;
    Ok(gone.rows_affected().cast_signed())
}

async fn forget_workers(connection: &mut SqliteConnection, now: Timestamp, most: i64) -> Outcome<i64> {
    let before = earlier(now, DEAD_HOLD);
    let gone = sqlx::query!(
        "delete from workers where rowid in (
            select d.rowid from workers d
            where d.state = 'dead' and d.renewed_at < ? and not exists (select 1 from work w where w.owner = d.id)
            limit ?)",
        before,
        most
    )
    .execute(connection)
    .await?;
    Ok(gone.rows_affected().cast_signed())
}
