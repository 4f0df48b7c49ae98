//! The one-second step: backoff that is due, workers that died, the submissions that they left, and virtual time.

use crate::Ledger;
use crate::generations::end::{Ending, end};
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::{later, micros};
use crate::work::history;
use crate::work::live::{Live, LiveRow, live};
use domain::Timestamp;
use domain::generation::{ErrorCode, GenerationError};
use domain::ids::WorkerId;
use domain::ports::work::{StepReport, Stepped};
use domain::retry::CRASHES_MOST;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

/// Rows a step moves at most.
const MOST: i64 = 1_000;
const DIED: &str = "The worker died while it was submitting.";
const POISON: &str = "Every worker that tried it died.";

/// Every worker's step is the same: whose it is does not matter to the one writer.
pub(super) async fn step(ledger: &Ledger, _worker: WorkerId, report: StepReport) -> Outcome<Stepped> {
    let (mut transaction, now) = ledger.write().await?;
    let promoted = promote(&mut transaction, now).await?;
    let died = if report.spares_the_silent { 0 } else { find_dead(&mut transaction, now).await? };
    let requeued = requeue(&mut transaction, now, MOST - promoted.cast_signed()).await?;
    let paused = move_time(&mut transaction, now, report).await?;
    // Where nothing changed there is nothing to write, and this costs no disk.
    commit(transaction).await?;
    Ok(Stepped { promoted, died, requeued, paused })
}

async fn promote(connection: &mut SqliteConnection, now: Timestamp) -> Outcome<u64> {
    let now = micros(now);
    let promoted = sqlx::query!(
        "update work set state = 'ready' where generation_id in (
            select generation_id from work where state = 'backoff' and run_after <= ? order by run_after limit ?)",
        now,
        MOST
    )
    .execute(connection)
    .await?;
    Ok(promoted.rows_affected())
}

async fn find_dead(connection: &mut SqliteConnection, now: Timestamp) -> Outcome<u64> {
    let now = micros(now);
    let died = sqlx::query!("update workers set state = 'dead' where state = 'alive' and expires_at <= ?", now)
        .execute(connection)
        .await?;
    Ok(died.rows_affected())
}

/// Submissions of dead workers go back in doubt: the upstream may have heard them. Those that outlived too many workers fail.
async fn requeue(connection: &mut SqliteConnection, now: Timestamp, most: i64) -> Outcome<u64> {
    let rows =
        live!("where owner in (select id from workers where state = 'dead') and state = 'submitting' limit ?", most)
            .fetch_all(&mut *connection)
            .await?;
    let mut requeued = 0;
    for live in rows.into_iter().map(LiveRow::live) {
        let live = live?;
        if live.crashes + 1 >= CRASHES_MOST {
            poison(connection, now, &live).await?;
        } else {
            put_back_in_doubt(connection, now, &live).await?;
            requeued += 1;
        }
    }
    Ok(requeued)
}

async fn poison(connection: &mut SqliteConnection, now: Timestamp, live: &Live) -> Outcome<()> {
    let error = GenerationError::new(ErrorCode::Internal, POISON);
    end(connection, now, live, &Ending::Failed(&error)).await?;
    let id = live.id.uuid();
    sqlx::query!("delete from work where generation_id = ?", id).execute(connection).await?;
    Ok(())
}

async fn put_back_in_doubt(connection: &mut SqliteConnection, now: Timestamp, live: &Live) -> Outcome<()> {
    history::record(connection, now, live, "returned", Some(DIED)).await?;
    let id = live.id.uuid();
    sqlx::query!(
        "update work set state = 'ready', fence = fence + 1, crashes = crashes + 1, attempts = max(attempts - 1, 0),
            version = version + 1, in_doubt = coalesce(in_doubt, token_id), owner = null, lease_id = null, token_id = null, claimed_at = null
        where generation_id = ?",
        id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves virtual time and the pool's drought on, never back. Whether claims are paused comes with it.
async fn move_time(connection: &mut SqliteConnection, now: Timestamp, report: StepReport) -> Outcome<bool> {
    let (tag, dry) = (report.greatest_tag.0, report.dry_for.map_or(0, |dry| later(now, dry)));
    sqlx::query!(
        "update scheduler set greatest_tag = max(greatest_tag, ?1), dry_until = max(coalesce(dry_until, ?2), ?2)
        where greatest_tag < ?1 or (?2 > 0 and coalesce(dry_until, 0) < ?2)",
        tag,
        dry
    )
    .execute(&mut *connection)
    .await?;
    let paused = sqlx::query_scalar!(r#"select paused as "paused: bool" from scheduler"#).fetch_one(connection).await?;
    Ok(paused)
}
