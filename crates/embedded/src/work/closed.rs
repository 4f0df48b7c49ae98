//! The upstream has been told of a cancel: what was left of the work goes.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::Outcome;
use domain::ids::WorkerId;
use domain::lease::Held;

pub(super) async fn closed(ledger: &Ledger, worker: WorkerId, held: &[Held]) -> Outcome<()> {
    if held.is_empty() {
        return Ok(());
    }
    let (mut transaction, _) = ledger.write().await?;
    let owner = worker.uuid();
    for held in held {
        let (id, fence) = (held.id.uuid(), held.fence.0);
        sqlx::query!(
            "delete from work where generation_id = ? and owner = ? and fence = ? and state = 'closing'",
            id,
            owner,
            fence
        )
        .execute(&mut *transaction)
        .await?;
    }
    commit(transaction).await
}
