//! Generations by their ids.

use crate::Ledger;
use crate::generations::seen::seen;
use crate::outcome::Outcome;
use crate::stored::id_list;
use domain::generation::Generation;
use domain::ids::GenerationId;
use domain::ports::generations::Scope;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

pub(super) async fn show(ledger: &Ledger, scope: Scope, id: GenerationId) -> Outcome<Option<Generation>> {
    let mut connection = ledger.read().acquire().await?;
    find(ledger, &mut connection, scope, id).await
}

pub(super) async fn find(
    ledger: &Ledger,
    connection: &mut SqliteConnection,
    scope: Scope,
    id: GenerationId,
) -> Outcome<Option<Generation>> {
    let (id, account) = (id.uuid(), account(scope));
    let row =
        seen!("where g.id = ?1 and (?2 is null or g.account_id = ?2)", id, account).fetch_optional(connection).await?;
    row.map(|row| row.generation(ledger.clock.now())).transpose()
}

pub(super) async fn show_many(ledger: &Ledger, ids: &[GenerationId]) -> Outcome<Vec<Generation>> {
    let mut connection = ledger.read().acquire().await?;
    find_many(ledger, &mut connection, ids).await
}

pub(super) async fn find_many(
    ledger: &Ledger,
    connection: &mut SqliteConnection,
    ids: &[GenerationId],
) -> Outcome<Vec<Generation>> {
    let ids = id_list(ids.iter().map(|id| id.uuid()))?;
    let rows = seen!("where g.id in (select unhex(value) from json_each(?1))", ids).fetch_all(connection).await?;
    let now = ledger.clock.now();
    rows.into_iter().map(|row| row.generation(now)).collect()
}

/// `None`: everybody's.
pub(super) const fn account(scope: Scope) -> Option<Uuid> {
    match scope {
        Scope::Account(id) => Some(id.uuid()),
        Scope::Everyone => None,
    }
}
