//! A change of share: what the account has waiting gets the tags that the new share would have given it, in steps.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::integer;
use domain::admission::TAG_UNIT;
use domain::ids::AccountId;

/// Rows a transaction may retag.
const STEP: i64 = 500;

/// Gives one step of the account's waiting work the tags that its present share would have given it, in the order it has. `from` is the last tag
/// given so far; `None` comes back when nothing is left. What a lost step leaves, the next change takes up.
pub(crate) async fn retag(
    ledger: &Ledger,
    id: AccountId,
    share: u32,
    from: Option<i64>,
) -> Result<Option<i64>, Failure> {
    let unit = TAG_UNIT / i64::from(share.max(1));
    let mut connection = ledger.connection().await?;
    sqlx::query_scalar!(
        r#"with chosen as materialized (
               select generation_id, row_number() over (order by tag, generation_id) as n,
                      first_value(tag - $5::bigint / share) over (order by tag, generation_id) as first
               from (select generation_id, tag, share from work
                     where account_id = $1 and state in ('ready', 'backoff') and share <> $2
                     order by tag, generation_id limit $3) as next
           ), locked as materialized (
               select c.generation_id, c.n, c.first
               from (select * from chosen order by generation_id) c
               cross join lateral (
                   select from work where generation_id = c.generation_id and state in ('ready', 'backoff') and share <> $2
                   limit 1 for no key update) w
           ), tagged as (
               update work w set tag = greatest(coalesce($4, l.first), 0) + l.n * $6, share = $2
               from locked l
               where w.generation_id = l.generation_id
               returning w.tag
           )
           select max(tag) from tagged"#,
        id.uuid(),
        integer(share),
        STEP,
        from,
        TAG_UNIT,
        unit,
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)
}
