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
               select a.generation_id
               from (select * from unnest($2::uuid[], $3::bigint[]) as asked (generation_id, fence) order by generation_id
                     limit cardinality($2::uuid[])) a
               cross join lateral (
                   select from work w
                   where w.generation_id = a.generation_id and a.fence = w.fence and w.owner is not distinct from $1 and w.state = 'closing'
                   limit 1 for update) w
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
