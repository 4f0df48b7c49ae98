//! The upstream has been told of a cancel: what was closing is gone, and its token free. The history has had its line since the cancel.

use super::fenced;
use crate::failure::Failure;
use crate::ledger::Ledger;
use domain::ids::WorkerId;
use domain::lease::Held;

pub(super) async fn closed(ledger: &Ledger, worker: WorkerId, held: &[Held]) -> Result<(), Failure> {
    if held.is_empty() {
        return Ok(());
    }
    let (ids, fences) = fenced(held.iter());
    let mut connection = ledger.connection().await?;
    sqlx::query!(
        r#"with locked as materialized (
               select w.generation_id from work w join unnest($2::uuid[], $3::bigint[]) as a (generation_id, fence)
                   on a.generation_id = w.generation_id and a.fence = w.fence
               where w.owner is not distinct from $1 and w.state = 'closing' order by w.generation_id for update of w
           )
           delete from work w using locked l where w.generation_id = l.generation_id"#,
        worker.uuid(),
        &ids,
        &fences,
    )
    .execute(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(())
}
