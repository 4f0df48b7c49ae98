//! The tries of one generation, oldest first.

use crate::failure::Failure;
use crate::ledger::Ledger;
use domain::ids::{GenerationId, TokenId, WorkerId};
use domain::ports::generations::Attempt;

/// Claims of one generation are bounded by attempts and crashes, but for waits that cost none.
const SHOWN_MOST: i64 = 200;

pub(super) async fn attempts(ledger: &Ledger, id: GenerationId) -> Result<Vec<Attempt>, Failure> {
    let rows = sqlx::query!(
        "select fence, worker_id, token_id, upstream_id, outcome, error, started_at, ended_at
         from attempts where generation_id = $1 order by fence limit $2",
        id.uuid(),
        SHOWN_MOST,
    )
    .fetch_all(&ledger.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Attempt {
            fence: row.fence,
            worker_id: row.worker_id.map(WorkerId::from_uuid),
            token_id: row.token_id.map(TokenId::from_uuid),
            upstream_id: row.upstream_id,
            outcome: row.outcome,
            error: row.error,
            started_at: row.started_at,
            ended_at: row.ended_at,
        })
        .collect())
}
