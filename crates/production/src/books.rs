//! The credit ledger's writes: accounts locked in id order, changed by the domain's purse, and each movement entered beside it.
//!
//! An account is locked after any work row and before any key; nothing here begins or ends a transaction.

use crate::failure::Failure;
use crate::rows::word;
use domain::Timestamp;
use domain::account::{AccountStatus, Overrides};
use domain::admission::Standing;
use domain::credits::{Bucket, CreditEntry, Month, Movement, Purse};
use domain::ids::{AccountId, EntryId, GenerationId};
use domain::tier::Tier;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// What a generation that ended without a result gets back.
pub(crate) struct Refund {
    pub(crate) generation_id: GenerationId,
    pub(crate) account_id: AccountId,
    pub(crate) bucket: Bucket,
    pub(crate) month: Month,
}

/// Locked accounts as they stand, and the ledger's now. Unknown ones are missing.
pub(crate) struct Locked {
    pub(crate) now: Timestamp,
    pub(crate) accounts: HashMap<AccountId, Standing>,
}

/// Locks the accounts in id order. What is read is what the lock found: no older than it.
pub(crate) async fn lock(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Locked, Failure> {
    let rows = sqlx::query!(
        r#"select id, tier, status, overrides as "overrides: Json<Overrides>", granted, purchased, month, granted_in_month, used,
                  now() as "now!"
           from accounts where id = any($1) order by id for no key update"#,
        ids
    )
    .fetch_all(connection)
    .await?;
    let now = rows.first().map(|row| row.now).unwrap_or_default();
    let mut accounts = HashMap::with_capacity(rows.len());
    for row in rows {
        let standing = Standing {
            tier: word(Tier::parse, &row.tier, "tier")?,
            status: word(AccountStatus::parse, &row.status, "account status")?,
            overrides: row.overrides.0,
            purse: Purse {
                granted: row.granted,
                purchased: row.purchased,
                month: Month(row.month),
                granted_in_month: row.granted_in_month,
                used: row.used,
            },
            last_tag: None,
        };
        accounts.insert(AccountId::from_uuid(row.id), standing);
    }
    Ok(Locked { now, accounts })
}

/// Purses to be written, a column a list.
#[derive(Default)]
pub(crate) struct Purses {
    pub(crate) account: Vec<Uuid>,
    pub(crate) granted: Vec<i64>,
    pub(crate) purchased: Vec<i64>,
    pub(crate) month: Vec<i32>,
    pub(crate) granted_in_month: Vec<i64>,
    pub(crate) used: Vec<i64>,
}

impl Purses {
    pub(crate) fn push(&mut self, account: AccountId, purse: &Purse) {
        self.account.push(account.uuid());
        self.granted.push(purse.granted);
        self.purchased.push(purse.purchased);
        self.month.push(purse.month.0);
        self.granted_in_month.push(purse.granted_in_month);
        self.used.push(purse.used);
    }
}

/// Entries to be written, a column a list.
#[derive(Default)]
pub(crate) struct Entries {
    pub(crate) id: Vec<Uuid>,
    pub(crate) account: Vec<Uuid>,
    pub(crate) kind: Vec<String>,
    pub(crate) bucket: Vec<String>,
    pub(crate) amount: Vec<i64>,
    pub(crate) generation: Vec<Option<Uuid>>,
}

impl Entries {
    pub(crate) fn push(
        &mut self,
        now: Timestamp,
        account: AccountId,
        generation: Option<GenerationId>,
        what: Movement,
    ) {
        self.id.push(EntryId::new(now, rand::random()).uuid());
        self.account.push(account.uuid());
        self.kind.push(what.kind.name().to_owned());
        self.bucket.push(what.bucket.name().to_owned());
        self.amount.push(what.amount);
        self.generation.push(generation.map(GenerationId::uuid));
    }

    /// Entries of one moment are read in the order in which they happened: their random parts are dealt out in order.
    pub(crate) fn in_order(mut self) -> Self {
        self.id.sort_unstable();
        self
    }
}

/// Writes what moved and the purses it left, in one statement.
pub(crate) async fn write(connection: &mut PgConnection, purses: Purses, entries: Entries) -> Result<(), Failure> {
    if purses.account.is_empty() {
        return Ok(());
    }
    let entries = entries.in_order();
    sqlx::query!(
        r#"with purses as (
               update accounts a
               set granted = p.granted, purchased = p.purchased, month = p.month, granted_in_month = p.granted_in_month, used = p.used
               from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::int[], $5::bigint[], $6::bigint[])
                    as p (id, granted, purchased, month, granted_in_month, used)
               where a.id = p.id
           )
           insert into credit_entries (id, account_id, kind, bucket, amount, generation_id)
           select * from unnest($7::uuid[], $8::uuid[], $9::text[], $10::text[], $11::bigint[], $12::uuid[])"#,
        &purses.account,
        &purses.granted,
        &purses.purchased,
        &purses.month,
        &purses.granted_in_month,
        &purses.used,
        &entries.id,
        &entries.account,
        &entries.kind,
        &entries.bucket,
        &entries.amount,
        &entries.generation as &[Option<Uuid>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives back what the generations took, each to where it came from. Their work rows are locked and their ends written already, so
/// none is refunded twice; the index on (generation, kind) is the second wall.
pub(crate) async fn refund(connection: &mut PgConnection, refunds: &[Refund]) -> Result<(), Failure> {
    if refunds.is_empty() {
        return Ok(());
    }
    let mut ids: Vec<_> = refunds.iter().map(|refund| refund.account_id.uuid()).collect();
    ids.sort_unstable();
    ids.dedup();
    let Locked { now, mut accounts } = lock(connection, &ids).await?;
    let (mut entries, mut touched) = (Entries::default(), BTreeMap::new());
    for refund in refunds {
        let standing = accounts
            .get_mut(&refund.account_id)
            .ok_or_else(|| Failure::corrupt(format_args!("{} has no account", refund.generation_id)))?;
        for movement in standing.purse.refund(refund.bucket, refund.month) {
            // A refund of a month that has passed lapses at once: both belong to the generation, and only debit and refund are unique.
            entries.push(now, refund.account_id, Some(refund.generation_id), movement);
        }
        touched.insert(refund.account_id, standing.purse);
    }
    let mut purses = Purses::default();
    touched.iter().for_each(|(id, purse)| purses.push(*id, purse));
    write(connection, purses, entries).await
}

/// An entry as the ledger keeps it.
pub(crate) struct EntryRow {
    pub(crate) id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) kind: String,
    pub(crate) bucket: String,
    pub(crate) amount: i64,
    pub(crate) generation_id: Option<Uuid>,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Timestamp,
}

impl TryFrom<EntryRow> for CreditEntry {
    type Error = Failure;

    fn try_from(row: EntryRow) -> Result<Self, Failure> {
        Ok(Self {
            id: EntryId::from_uuid(row.id),
            account_id: AccountId::from_uuid(row.account_id),
            kind: word(domain::credits::EntryKind::parse, &row.kind, "kind of entry")?,
            bucket: word(Bucket::parse, &row.bucket, "bucket")?,
            amount: row.amount,
            generation_id: row.generation_id.map(GenerationId::from_uuid),
            reason: row.reason,
            created_at: row.created_at,
        })
    }
}
