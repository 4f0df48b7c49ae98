//! Accounts made, shown and listed.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::{AccountRow, all};
use domain::account::Account;
use domain::ids::AccountId;
use domain::page::{Page, PageRequest};
use domain::ports::accounts::{AccountFilter, NewAccount};
use sqlx::types::Json;
use uuid::Uuid;

/// An id that exists already is an earlier try whose answer was lost: it is shown.
pub(super) async fn create(ledger: &Ledger, new: &NewAccount) -> Result<Account, Failure> {
    let mut connection = ledger.connection().await?;
    sqlx::query!(
        "insert into accounts (id, name, email, tier, overrides) values ($1, $2, $3, $4, $5) on conflict (id) do nothing",
        new.id.uuid(),
        new.name,
        new.email,
        new.tier.name(),
        Json(new.overrides) as _,
    )
    .execute(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    drop(connection);
    show(ledger, new.id).await?.ok_or_else(|| Failure::corrupt("an account was made and is not there"))
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
        filter.tier.map(domain::tier::Tier::name),
        filter.text,
        i64::from(page.limit) + 1,
    )
    .fetch_all(&ledger.pool)
    .await?;
    Ok(Page::from_rows(all(rows)?, page.limit, |account: &Account| account.id.uuid()))
}
