//! The job history that operators see: one line a try, written when the try is over.

use crate::outcome::Outcome;
use crate::stored::micros;
use crate::work::live::Live;
use domain::Timestamp;
use domain::ids::WorkerId;
use sqlx::sqlite::SqliteConnection;

/// `outcome` is one of the words of [`domain::ports::generations::Attempt`].
pub(crate) async fn record(
    connection: &mut SqliteConnection,
    now: Timestamp,
    live: &Live,
    outcome: &str,
    error: Option<&str>,
) -> Outcome<()> {
    let (id, tier, worker) = (live.id.uuid(), live.tier.name(), live.owner.map(WorkerId::uuid));
    let (token, ended_at) = (live.lease.map(|lease| lease.token_id.uuid()), micros(now));
    let waited = live.started_at.map(|at| at.saturating_sub(live.created_at) as f64 / 1_000_000.0);
    // A canceled generation that is adopted while it closes has its line already.
    sqlx::query!(
        "insert into attempts
            (generation_id, fence, tier, worker_id, token_id, upstream_id, outcome, error, waited_seconds, started_at, ended_at)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
        id,
        live.fence,
        tier,
        worker,
        token,
        live.upstream_id,
        outcome,
        error,
        waited,
        live.claimed_at,
        ended_at
    )
    .execute(connection)
    .await?;
    Ok(())
}
