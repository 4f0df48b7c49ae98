//! Credits bought, counted and listed. Debits and refunds are written where generations begin and end.

use crate::books::{self, EntryRow, Purses};
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::{all, word};
use domain::account::{Overrides, effective_limits};
use domain::credits::{CreditEntry, Month, Purse};
use domain::ids::AccountId;
use domain::page::{Page, PageRequest};
use domain::ports::accounts::{TopUp, Usage};
use domain::tier::Tier;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

/// The same id again is an earlier try whose answer was lost: it is answered and counted once.
pub(super) async fn top_up(connection: &mut PgConnection, top_up: &TopUp) -> Result<Option<CreditEntry>, Failure> {
    let mut locked = books::lock(connection, &[top_up.account_id.uuid()]).await?;
    let Some(standing) = locked.accounts.get_mut(&top_up.account_id) else { return Ok(None) };
    let entry = sqlx::query_as!(
        EntryRow,
        r#"insert into credit_entries (id, account_id, kind, bucket, amount, reason) values ($1, $2, 'top_up', 'purchased', $3, $4)
           on conflict (account_id, id) do nothing
           returning id, account_id, kind, bucket, amount, generation_id, reason, created_at"#,
        top_up.id.uuid(),
        top_up.account_id.uuid(),
        top_up.amount,
        top_up.reason,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let entry = match entry {
        Some(entry) => {
            standing.purse.purchased += top_up.amount;
            let mut purses = Purses::default();
            purses.push(top_up.account_id, &standing.purse);
            books::write(connection, purses, books::Entries::default()).await?;
            entry
        }
        None => {
            sqlx::query_as!(
                EntryRow,
                r#"select id, account_id, kind, bucket, amount, generation_id, reason, created_at
                   from credit_entries where account_id = $1 and id = $2"#,
                top_up.account_id.uuid(),
                top_up.id.uuid(),
            )
            .fetch_one(&mut *connection)
            .await?
        }
    };
    Ok(Some(entry.try_into()?))
}

/// One statement, so all numbers are of one moment. Two narrow indexes hold an account's live work: what waits and what is under way.
pub(super) async fn usage(ledger: &Ledger, id: AccountId) -> Result<Option<Usage>, Failure> {
    let row = sqlx::query!(
        r#"select a.tier, a.overrides as "overrides: Json<Overrides>", a.granted, a.purchased, a.month, a.granted_in_month, a.used,
                  now() as "now!",
                  (select count(*) from work w where w.account_id = a.id and w.state in ('ready', 'backoff') and w.tier <> 'system')
                  + (select count(*) from work w where w.account_id = a.id and w.state in ('submitting', 'rendering') and w.tier <> 'system')
                  as "reserved!"
           from accounts a where a.id = $1"#,
        id.uuid()
    )
    .fetch_optional(&ledger.pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let tier = word(Tier::parse, &row.tier, "tier")?;
    let limits = effective_limits(tier, &row.overrides.0, &ledger.tiers);
    let month = Month::of(row.now);
    let mut purse = Purse {
        granted: row.granted,
        purchased: row.purchased,
        month: Month(row.month),
        granted_in_month: row.granted_in_month,
        used: row.used,
    };
    purse.roll(month, limits.credits_per_month);
    // The operator's own account is never debited: it always has all that it is granted.
    let balance = if tier == Tier::System { limits.credits_per_month } else { purse.balance() };
    let reserved = row.reserved * domain::credits::COST;
    Ok(Some(Usage { balance, reserved, used: purse.used, resets_at: month.resets_at() }))
}

pub(super) async fn entries(ledger: &Ledger, id: AccountId, page: PageRequest) -> Result<Page<CreditEntry>, Failure> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"select id, account_id, kind, bucket, amount, generation_id, reason, created_at
           from credit_entries where account_id = $1 and id < $2 order by id desc limit $3"#,
        id.uuid(),
        page.after.unwrap_or(Uuid::max()),
        i64::from(page.limit) + 1,
    )
    .fetch_all(&ledger.pool)
    .await?;
    Ok(Page::from_rows(all(rows)?, page.limit, |entry: &CreditEntry| entry.id.uuid()))
}
