//! An account changed by an operator, with the credits that a rise grants and the turns that a new share gives to what waits.

use crate::books::{self, Entries, Purses};
use crate::failure::Failure;
use crate::ledger::{Ledger, commit};
use crate::rows::{AccountRow, integer};
use domain::account::{Account, effective_limits};
use domain::admission::TAG_UNIT;
use domain::credits::Month;
use domain::ids::AccountId;
use domain::ports::accounts::AccountChange;
use domain::tier::Tier;
use sqlx::types::Json;

/// Rows a transaction may retag.
const STEP: i64 = 500;

pub(super) async fn change(ledger: &Ledger, id: AccountId, change: &AccountChange) -> Result<Option<Account>, Failure> {
    let mut transaction = ledger.begin().await?;
    let mut locked = books::lock(&mut transaction, &[id.uuid()]).await?;
    let Some(standing) = locked.accounts.get_mut(&id) else { return Ok(None) };
    let tier = change.tier.unwrap_or(standing.tier);
    let overrides = change.overrides.unwrap_or(standing.overrides);
    let row = sqlx::query_as!(
        AccountRow,
        r#"update accounts
           set name = coalesce($2, name), email = case when $3 then $4 else email end, tier = $5, status = coalesce($6, status),
               overrides = $7
           where id = $1
           returning id, name, email, tier, status, overrides as "overrides: _", created_at"#,
        id.uuid(),
        change.name,
        change.email.is_some(),
        change.email.clone().flatten(),
        tier.name(),
        change.status.map(domain::account::AccountStatus::name),
        Json(overrides) as _,
    )
    .fetch_one(&mut *transaction)
    .await?;
    // An account without a debit this month is granted its month at the first one, by the numbers that hold then.
    if tier != Tier::System && standing.purse.month == Month::of(locked.now) {
        let limits = effective_limits(tier, &overrides, &ledger.tiers);
        if let Some(movement) = standing.purse.raise(limits.credits_per_month) {
            let (mut purses, mut entries) = (Purses::default(), Entries::default());
            purses.push(id, &standing.purse);
            entries.push(locked.now, id, None, movement);
            books::write(&mut transaction, purses, entries).await?;
        }
    }
    commit(transaction).await?;
    Ok(Some(row.try_into()?))
}

/// Gives one step of the account's waiting work the tags that its present share would have given it, in the order it has. `from` is the last tag
/// given so far; `None` comes back when nothing is left. What a lost step leaves, the next change takes up.
pub(super) async fn retag(
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
               select w.generation_id from work w join chosen using (generation_id)
               where w.state in ('ready', 'backoff') order by w.generation_id for no key update of w
           ), tagged as (
               update work w set tag = greatest(coalesce($4, c.first), 0) + c.n * $6, share = $2
               from chosen c join locked using (generation_id)
               where w.generation_id = c.generation_id
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
