//! Where a waiting generation stands, by two bounded probes of the indexes that claims and backlogs use.

use crate::Ledger;
use crate::outcome::Outcome;
use crate::stored::{moment, number};
use domain::ids::GenerationId;
use domain::ports::generations::{PLACES_COUNTED, Place};

pub(super) async fn place(ledger: &Ledger, id: GenerationId) -> Outcome<Option<Place>> {
    let (id, most) = (id.uuid(), i64::try_from(PLACES_COUNTED).unwrap_or(i64::MAX));
    let row = sqlx::query!(
        r#"select w.state, w.run_after,
            (select count(*) from (
                select 1 from work o where o.account_id = w.account_id and o.state in ('ready', 'backoff')
                    and (o.tag, o.generation_id) < (w.tag, w.generation_id) limit ?2)) as "in_account!: i64",
            (select count(*) from (
                select 1 from work o where o.state = 'ready'
                    and (o.tag, o.generation_id) < (w.tag, w.generation_id) limit ?2)) as "in_all!: i64"
        from work w where w.generation_id = ?1 and w.state in ('ready', 'backoff')"#,
        id,
        most
    )
    .fetch_optional(ledger.read())
    .await?;
    row.map(|row| {
        let due_at = if row.state == "backoff" { Some(moment(row.run_after)?) } else { None };
        Ok(Place { ahead_in_account: number(row.in_account)?, ahead: number(row.in_all)?, due_at })
    })
    .transpose()
}
