//! Generations read by id, each in one statement and one snapshot: the record and what its live work says belong together.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::{all, generations};
use domain::generation::Generation;
use domain::ids::GenerationId;
use domain::ports::generations::Scope;
use uuid::Uuid;

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
