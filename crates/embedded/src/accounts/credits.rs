//! Top-ups, an account's numbers of one moment, and its entries.

use crate::Ledger;
use crate::accounts::purse;
use crate::outcome::Outcome;
use crate::stored::{below, from_json, moment, number, word};
use domain::Timestamp;
use domain::account::effective_limits;
use domain::credits::{Bucket, CreditEntry, EntryKind, Month, Movement, Purse};
use domain::ids::{AccountId, EntryId, GenerationId};
use domain::page::{Page, PageRequest};
use domain::ports::accounts::{TopUp, Usage};
use domain::tier::{Tier, UNMETERED};
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

struct EntryRow {
    account_id: Uuid,
    id: Uuid,
    kind: String,
    bucket: String,
    amount: i64,
    generation_id: Option<Uuid>,
    reason: Option<String>,
    created_at: i64,
}

impl EntryRow {
    fn entry(self) -> Outcome<CreditEntry> {
        Ok(CreditEntry {
            id: EntryId::from_uuid(self.id),
            account_id: AccountId::from_uuid(self.account_id),
            kind: word(EntryKind::parse, &self.kind)?,
            bucket: word(Bucket::parse, &self.bucket)?,
            amount: self.amount,
            generation_id: self.generation_id.map(GenerationId::from_uuid),
            reason: self.reason,
            created_at: moment(self.created_at)?,
        })
    }
}

async fn find(connection: &mut SqliteConnection, account: AccountId, id: EntryId) -> Outcome<Option<CreditEntry>> {
    let (account, id) = (account.uuid(), id.uuid());
    let row = sqlx::query_as!(
        EntryRow,
        r#"select account_id as "account_id: Uuid", id as "id: Uuid", kind, bucket, amount,
            generation_id as "generation_id: Uuid", reason, created_at
        from credit_entries where account_id = ? and id = ?"#,
        account,
        id
    )
    .fetch_optional(connection)
    .await?;
    row.map(EntryRow::entry).transpose()
}

/// A top-up that comes again, under its id, is answered as the first time.
pub(super) async fn top_up(
    connection: &mut SqliteConnection,
    now: Timestamp,
    top_up: &TopUp,
) -> Outcome<Option<CreditEntry>> {
    let account = top_up.account_id;
    if let Some(entry) = find(connection, account, top_up.id).await? {
        return Ok(Some(entry));
    }
    let Some(standing) = purse::load(connection, account).await? else { return Ok(None) };
    let purse = Purse { purchased: standing.purse.purchased.saturating_add(top_up.amount), ..standing.purse };
    purse::store(connection, account, &purse).await?;
    let movement = Movement { kind: EntryKind::TopUp, bucket: Bucket::Purchased, amount: top_up.amount };
    purse::insert(connection, now, account, top_up.id, movement, None, Some(&top_up.reason)).await?;
    find(connection, account, top_up.id).await
}

/// Balance and reserved are of one statement. The month's roll, where it is not written yet, is counted.
pub(super) async fn usage(ledger: &Ledger, id: AccountId) -> Outcome<Option<Usage>> {
    let key = id.uuid();
    let row = sqlx::query!(
        r#"select tier, overrides, granted, purchased, month, granted_in_month, used,
            case tier when 'system' then 0 else (
                select coalesce(sum(g.cost), 0) from generations g where g.account_id = a.id and g.status = 'open'
            ) end as "reserved!: i64"
        from accounts a where id = ?"#,
        key
    )
    .fetch_optional(ledger.read())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let month = Month::of(ledger.clock.now());
    let tier = word(Tier::parse, &row.tier)?;
    let mut purse = Purse {
        granted: row.granted,
        purchased: row.purchased,
        month: Month(number(row.month)?),
        granted_in_month: row.granted_in_month,
        used: row.used,
    };
    let limits = effective_limits(tier, &from_json(&row.overrides)?, &ledger.tiers);
    purse.roll(month, limits.credits_per_month);
    let balance = if tier == Tier::System { UNMETERED } else { purse.balance() };
    Ok(Some(Usage { balance, reserved: row.reserved, used: purse.used, resets_at: month.resets_at() }))
}

pub(super) async fn entries(ledger: &Ledger, id: AccountId, page: PageRequest) -> Outcome<Page<CreditEntry>> {
    let (id, below, limit) = (id.uuid(), below(page), i64::from(page.limit) + 1);
    let rows = sqlx::query_as!(
        EntryRow,
        r#"select account_id as "account_id: Uuid", id as "id: Uuid", kind, bucket, amount,
            generation_id as "generation_id: Uuid", reason, created_at
        from credit_entries where account_id = ? and id < ? order by id desc limit ?"#,
        id,
        below,
        limit
    )
    .fetch_all(ledger.read())
    .await?;
    let entries = rows.into_iter().map(EntryRow::entry).collect::<Outcome<Vec<_>>>()?;
    Ok(Page::from_rows(entries, page.limit, |entry| entry.id.uuid()))
}
