//! What the ledger says that a worker holds.

use crate::Ledger;
use crate::outcome::Outcome;
use domain::ids::{GenerationId, WorkerId};
use domain::lease::Fence;
use uuid::Uuid;

pub(super) async fn held(ledger: &Ledger, worker: WorkerId) -> Outcome<Vec<(GenerationId, Fence)>> {
    let owner = worker.uuid();
    let rows = sqlx::query!(r#"select generation_id as "id: Uuid", fence from work where owner = ?"#, owner)
        .fetch_all(ledger.read())
        .await?;
    Ok(rows.into_iter().map(|row| (GenerationId::from_uuid(row.id), Fence(row.fence))).collect())
}
