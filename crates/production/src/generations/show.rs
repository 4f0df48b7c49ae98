//! Generations read by id, each in one statement and one snapshot: the record and what its live work says belong together.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::{all, generations};
use domain::generation::Generation;
use domain::ids::{GenerationId, TokenId, WorkerId};
use domain::ports::generations::{Attempt, Scope};
use uuid::Uuid;

/// Claims of one generation are bounded by attempts and crashes, but for waits that cost none.
const ATTEMPTS_SHOWN: i64 = 200;

pub(super) async fn one(ledger: &Ledger, scope: Scope, id: GenerationId) -> Result<Option<Generation>, Failure> {
    let account = match scope {
        Scope::Account(account) => Some(account.uuid()),
        Scope::Everyone => None,
    };
    let row = generations!("where g.id = $1 and ($2::uuid is null or g.account_id = $2)", id.uuid(), account,)
        .fetch_optional(&ledger.pool)
        .await?;
    row.map(Generation::try_from).transpose()
}

pub(super) async fn many(ledger: &Ledger, ids: &[GenerationId]) -> Result<Vec<Generation>, Failure> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    all(generations!("where g.id = any($1)", &ids).fetch_all(&ledger.pool).await?)
}

pub(super) async fn attempts(ledger: &Ledger, id: GenerationId) -> Result<Vec<Attempt>, Failure> {
    let rows = sqlx::query!(
        "select fence, worker_id, token_id, upstream_id, outcome, error, started_at, ended_at
         from attempts where generation_id = $1 order by fence limit $2",
        id.uuid(),
        ATTEMPTS_SHOWN,
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
