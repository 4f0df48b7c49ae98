//! Where a waiting generation stands, by two bounded probes of the indexes that claims and backlogs use.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::natural_64;
use domain::ids::GenerationId;
use domain::ports::generations::{PLACES_COUNTED, Place};

pub(super) async fn place(ledger: &Ledger, id: GenerationId) -> Result<Option<Place>, Failure> {
    let row = sqlx::query!(
        r#"select w.state, w.run_after, own.count as "in_account!", every.count as "in_all!"
           from work w
           cross join lateral (
               select count(*) as count from (
                   select 1 from work o where o.account_id = w.account_id and o.state in ('ready', 'backoff')
                     and (o.tag, o.generation_id) < (w.tag, w.generation_id) limit $2) first) own
           cross join lateral (
               select count(*) as count from (
                   select 1 from work o where o.state = 'ready'
                     and (o.tag, o.generation_id) < (w.tag, w.generation_id) limit $2) first) every
           where w.generation_id = $1 and w.state in ('ready', 'backoff')"#,
        id.uuid(),
        i64::try_from(PLACES_COUNTED).unwrap_or(i64::MAX),
    )
    .fetch_optional(&ledger.pool)
    .await?;
    Ok(row.map(|row| Place {
        ahead_in_account: natural_64(row.in_account),
        ahead: natural_64(row.in_all),
        due_at: (row.state == "backoff").then_some(row.run_after),
    }))
}
