//! Accounts made, shown, listed and changed. A rise of what an account is granted a month grants the difference; what a new share does to the turns
//! of waiting work is `work/retag.rs`.

use crate::books::{self, Entries, Purses};
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::{AccountRow, all};
use domain::account::{Account, AccountStatus, effective_limits};
use domain::credits::Month;
use domain::ids::AccountId;
use domain::page::{Page, PageRequest};
use domain::ports::accounts::{AccountChange, AccountFilter, NewAccount};
use domain::tier::Tier;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

/// An id that exists already is an earlier try whose answer was lost: it is shown.
pub(super) async fn create(connection: &mut PgConnection, new: &NewAccount) -> Result<Account, Failure> {
    sqlx::query_as!(
        AccountRow,
        r#"insert into accounts (id, name, email, tier, overrides) values ($1, $2, $3, $4, $5)
           on conflict (id) do update set name = accounts.name
           returning id, name, email, tier, status, overrides as "overrides: _", created_at"#,
        new.id.uuid(),
        new.name,
        new.email,
        new.tier.name(),
        Json(new.overrides) as _,
    )
    .fetch_one(connection)
    .await?
    .try_into()
}

pub(super) async fn show(ledger: &Ledger, id: AccountId) -> Result<Option<Account>, Failure> {
    sqlx::query_as!(
        AccountRow,
        r#"select id, name, email, tier, status, overrides as "overrides: _", created_at from accounts where id = $1"#,
        id.uuid()
    )
    .fetch_optional(&ledger.pool)
    .await?
    .map(Account::try_from)
    .transpose()
}

pub(super) async fn list(ledger: &Ledger, filter: &AccountFilter, page: PageRequest) -> Result<Page<Account>, Failure> {
    let rows = sqlx::query_as!(
        AccountRow,
        r#"select id, name, email, tier, status, overrides as "overrides: _", created_at
           from accounts
           where id < $1 and ($2::text is null or tier = $2)
             and ($3::text is null or position(lower($3) in lower(name)) > 0 or position(lower($3) in lower(email)) > 0)
           order by id desc limit $4"#,
        page.after.unwrap_or(Uuid::max()),
        filter.tier.map(Tier::name),
        filter.text,
        i64::from(page.limit) + 1,
    )
    .fetch_all(&ledger.pool)
    .await?;
    Ok(Page::from_rows(all(rows)?, page.limit, |account: &Account| account.id.uuid()))
}

pub(super) async fn change(
    ledger: &Ledger,
    connection: &mut PgConnection,
    id: AccountId,
    change: &AccountChange,
) -> Result<Option<Account>, Failure> {
    let mut locked = books::lock(connection, &[id.uuid()]).await?;
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
        change.status.map(AccountStatus::name),
        Json(overrides) as _,
    )
    .fetch_one(&mut *connection)
    .await?;
    // An account without a debit this month is granted its month at the first one, by the numbers that hold then.
    if tier != Tier::System && standing.purse.month == Month::of(locked.now) {
        let limits = effective_limits(tier, &overrides, &ledger.tiers);
        if let Some(movement) = standing.purse.raise(limits.credits_per_month) {
            let (mut purses, mut entries) = (Purses::default(), Entries::default());
            purses.push(id, &standing.purse);
            entries.push(locked.now, id, None, movement);
            books::write(connection, purses, entries).await?;
        }
    }
    Ok(Some(row.try_into()?))
}
