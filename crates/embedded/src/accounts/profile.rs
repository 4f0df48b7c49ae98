//! Accounts made, shown, listed and changed. What a change of tier moves in the purse, the domain says.

use crate::Ledger;
use crate::accounts::purse;
use crate::outcome::Outcome;
use crate::stored::{below, from_json, micros, moment, to_json, word};
use crate::work::retag;
use domain::Timestamp;
use domain::account::{Account, AccountStatus};
use domain::credits::Month;
use domain::ids::AccountId;
use domain::page::{Page, PageRequest};
use domain::ports::accounts::{AccountChange, AccountFilter, NewAccount};
use domain::tier::Tier;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

pub(crate) struct AccountRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) tier: String,
    pub(crate) status: String,
    pub(crate) overrides: String,
    pub(crate) created_at: i64,
}

impl AccountRow {
    pub(crate) fn account(self) -> Outcome<Account> {
        Ok(Account {
            id: AccountId::from_uuid(self.id),
            name: self.name,
            email: self.email,
            tier: word(Tier::parse, &self.tier)?,
            status: word(AccountStatus::parse, &self.status)?,
            overrides: from_json(&self.overrides)?,
            created_at: moment(self.created_at)?,
        })
    }
}

pub(super) async fn insert(connection: &mut SqliteConnection, now: Timestamp, new: NewAccount) -> Outcome<Account> {
    let account = Account {
        id: new.id,
        name: new.name,
        email: new.email,
        tier: new.tier,
        status: AccountStatus::Active,
        overrides: new.overrides,
        created_at: now,
    };
    let (id, tier, status) = (account.id.uuid(), account.tier.name(), account.status.name());
    let (overrides, created_at) = (to_json(&account.overrides)?, micros(now));
    sqlx::query!(
        "insert into accounts (id, name, email, tier, status, overrides, created_at) values (?, ?, ?, ?, ?, ?, ?)",
        id,
        account.name,
        account.email,
        tier,
        status,
        overrides,
        created_at
    )
    .execute(connection)
    .await?;
    Ok(account)
}

/// An account that comes again, under its id, is shown as it is.
pub(super) async fn create(connection: &mut SqliteConnection, now: Timestamp, new: &NewAccount) -> Outcome<Account> {
    match find(connection, new.id).await? {
        Some(account) => Ok(account),
        None => insert(connection, now, new.clone()).await,
    }
}

async fn find(connection: &mut SqliteConnection, id: AccountId) -> Outcome<Option<Account>> {
    let id = id.uuid();
    let row = sqlx::query_as!(
        AccountRow,
        r#"select id as "id: Uuid", name, email, tier, status, overrides, created_at from accounts where id = ?"#,
        id
    )
    .fetch_optional(connection)
    .await?;
    row.map(AccountRow::account).transpose()
}

pub(super) async fn show(ledger: &Ledger, id: AccountId) -> Outcome<Option<Account>> {
    let mut connection = ledger.read().acquire().await?;
    find(&mut connection, id).await
}

pub(super) async fn list(ledger: &Ledger, filter: &AccountFilter, page: PageRequest) -> Outcome<Page<Account>> {
    let (below, limit, tier) = (below(page), i64::from(page.limit) + 1, filter.tier.map(Tier::name));
    // `instr` rather than `like`: a percent sign is text.
    let rows = sqlx::query_as!(
        AccountRow,
        r#"select id as "id: Uuid", name, email, tier, status, overrides, created_at from accounts
        where id < ?1 and (?2 is null or tier = ?2)
            and (?3 is null or instr(lower(name), lower(?3)) > 0 or instr(lower(coalesce(email, '')), lower(?3)) > 0)
        order by id desc limit ?4"#,
        below,
        tier,
        filter.text,
        limit
    )
    .fetch_all(ledger.read())
    .await?;
    let accounts = rows.into_iter().map(AccountRow::account).collect::<Outcome<Vec<_>>>()?;
    Ok(Page::from_rows(accounts, page.limit, |account| account.id.uuid()))
}

pub(super) async fn change(
    ledger: &Ledger,
    connection: &mut SqliteConnection,
    now: Timestamp,
    id: AccountId,
    change: &AccountChange,
) -> Outcome<Option<Account>> {
    let Some(before) = find(connection, id).await? else { return Ok(None) };
    let after = Account {
        name: change.name.clone().unwrap_or_else(|| before.name.clone()),
        email: change.email.clone().unwrap_or_else(|| before.email.clone()),
        tier: change.tier.unwrap_or(before.tier),
        status: change.status.unwrap_or(before.status),
        overrides: change.overrides.unwrap_or(before.overrides),
        ..before
    };
    let (key, tier, status, overrides) =
        (id.uuid(), after.tier.name(), after.status.name(), to_json(&after.overrides)?);
    sqlx::query!(
        "update accounts set name = ?, email = ?, tier = ?, status = ?, overrides = ? where id = ?",
        after.name,
        after.email,
        tier,
        status,
        overrides,
        key
    )
    .execute(&mut *connection)
    .await?;
    let limits = after.limits(&ledger.tiers);
    if after.is_metered() {
        raise(connection, now, id, limits.credits_per_month).await?;
    }
    if limits.share != before.limits(&ledger.tiers).share {
        retag::retag(connection, id, limits.share).await?;
    }
    Ok(Some(after))
}

/// Grants what a rise within the month adds. A month that was not begun yet is granted in full at its first debit.
async fn raise(connection: &mut SqliteConnection, now: Timestamp, id: AccountId, monthly: i64) -> Outcome<()> {
    let Some(standing) = purse::load(connection, id).await? else { return Ok(()) };
    let mut purse = standing.purse;
    if purse.month != Month::of(now) {
        return Ok(());
    }
    let Some(movement) = purse.raise(monthly) else { return Ok(()) };
    purse::store(connection, id, &purse).await?;
    purse::record(connection, now, id, None, &[movement]).await
}
