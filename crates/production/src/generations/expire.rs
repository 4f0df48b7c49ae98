//! Deadlines: what was not finished within its `Cancel-After` is given up. Any process may run it, several at once: none waits for another's rows.

use super::cancel::End;
use crate::failure::Failure;
use crate::ledger::{Ledger, commit};
use domain::event::Change;
use domain::generation::CanceledBy;

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
