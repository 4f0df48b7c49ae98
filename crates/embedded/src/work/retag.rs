//! A change of share gives what waits new turns, as though it had all been submitted now, in the order that it had.

use crate::outcome::Outcome;
use domain::admission::TAG_UNIT;
use domain::ids::AccountId;
use sqlx::sqlite::SqliteConnection;

pub(crate) async fn retag(connection: &mut SqliteConnection, account: AccountId, share: u32) -> Outcome<()> {
    let (account, unit) = (account.uuid(), TAG_UNIT / i64::from(share.max(1)));
    sqlx::query!(
        "with now as (
            select max(greatest_tag, coalesce((select min(tag) from work where state = 'ready'), 0)) as tag from scheduler
        ), turns as (
            select generation_id, row_number() over (order by tag, generation_id) as turn
            from work where account_id = ?1 and state in ('ready', 'backoff')
        )
        update work set tag = (select tag from now) + turns.turn * ?2, share = ?3
        from turns where work.generation_id = turns.generation_id",
        account,
        unit,
        share
    )
    .execute(connection)
    .await?;
    Ok(())
}
