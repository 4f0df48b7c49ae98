//! Cancels and deadlines: the record ends and is refunded at once. Waiting work goes; what a worker owns stays, closing, until the upstream has
//! been told.

use super::end::End;
use crate::failure::Failure;
use crate::ledger::{Ledger, commit};
use crate::rows::generations;
use domain::event::Change;
use domain::generation::{CanceledBy, Generation};
use domain::ids::GenerationId;
use domain::ports::generations::Scope;
use domain::ports::operators::{Acted, Outcome};
use sqlx::PgConnection;

/// Whether a worker owned it; `None` when there was nothing to cancel.
pub(super) async fn cancel(
    ledger: &Ledger,
    scope: Scope,
    id: GenerationId,
    by: CanceledBy,
) -> Result<Option<bool>, Failure> {
    let mut transaction = ledger.begin().await?;
    // Whose it is never changes, so this needs no lock.
    let owner = sqlx::query_scalar!("select account_id from generations where id = $1", id.uuid())
        .fetch_optional(&mut *transaction)
        .await?;
    let may = match scope {
        Scope::Everyone => owner.is_some(),
        Scope::Account(account) => owner == Some(account.uuid()),
    };
    if !may {
        return Ok(None);
    }
    let ended = End::canceled(by).run(&mut transaction, &[id.uuid()]).await?;
    commit(transaction).await?;
    Ok(ended.first().map(|ended| ended.was_owned))
}

/// The same for an operator, within the transaction of the order.
pub(crate) async fn for_operator(connection: &mut PgConnection, id: GenerationId) -> Result<Acted, Failure> {
    let ended = End::canceled(CanceledBy::Operator).run(connection, &[id.uuid()]).await?;
    let row = generations!("where g.id = $1", id.uuid()).fetch_optional(connection).await?;
    let Some(generation) = row.map(Generation::try_from).transpose()?.map(Box::new) else {
        return Ok(Acted::NotFound);
    };
    Ok(match ended.first() {
        Some(ended) => Acted::Done(Outcome::Canceled { generation, tell_workers: ended.was_owned }),
        None => Acted::AlreadyFinal(generation),
    })
}

/// Any process may run it, several at once: none waits for rows that another has in hand.
pub(super) async fn expire(ledger: &Ledger, limit: u16) -> Result<Vec<(Change, bool)>, Failure> {
    let mut transaction = ledger.begin().await?;
    let due = sqlx::query_scalar!(
        "select generation_id from work where state <> 'closing' and deadline <= now()
         order by deadline limit $1 for update skip locked",
        i64::from(limit),
    )
    .fetch_all(&mut *transaction)
    .await?;
    if due.is_empty() {
        transaction.rollback().await?;
        return Ok(Vec::new());
    }
    let ended = End::canceled(CanceledBy::Deadline).run(&mut transaction, &due).await?;
    commit(transaction).await?;
    Ok(ended.into_iter().map(|ended| (ended.change, ended.was_owned)).collect())
}
