//! What the ledger says a worker holds, for comparison with what it thinks.

use crate::failure::Failure;
use crate::ledger::Ledger;
use domain::ids::{GenerationId, WorkerId};
use domain::lease::Fence;

/// Bounded by what one worker may hold.
pub(super) async fn held(ledger: &Ledger, worker: WorkerId) -> Result<Vec<(GenerationId, Fence)>, Failure> {
    let rows = sqlx::query!("select generation_id, fence from work where owner = $1", worker.uuid())
        .fetch_all(&ledger.pool)
        .await?;
    Ok(rows.into_iter().map(|row| (GenerationId::from_uuid(row.generation_id), Fence(row.fence))).collect())
}
