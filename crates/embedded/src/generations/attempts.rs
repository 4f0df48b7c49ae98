//! The tries of one generation, oldest first.

use crate::Ledger;
use crate::outcome::Outcome;
use crate::stored::{moment, perhaps};
use domain::ids::{GenerationId, TokenId, WorkerId};
use domain::ports::generations::Attempt;
use uuid::Uuid;

pub(super) async fn attempts(ledger: &Ledger, id: GenerationId) -> Outcome<Vec<Attempt>> {
    let id = id.uuid();
    let rows = sqlx::query!(
        r#"select fence, worker_id as "worker_id: Uuid", token_id as "token_id: Uuid", upstream_id, outcome, error,
            started_at, ended_at
        from attempts where generation_id = ? order by fence"#,
        id
    )
    .fetch_all(ledger.read())
    .await?;
    let mut attempts = Vec::with_capacity(rows.len());
    for row in rows {
        attempts.push(Attempt {
            fence: row.fence,
            worker_id: row.worker_id.map(WorkerId::from_uuid),
            token_id: row.token_id.map(TokenId::from_uuid),
            upstream_id: row.upstream_id,
            outcome: row.outcome,
            error: row.error,
            started_at: perhaps(row.started_at)?,
            ended_at: moment(row.ended_at)?,
        });
    }
    Ok(attempts)
}
