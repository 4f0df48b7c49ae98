//! An account's purse as its row holds it, and the entries that say what moved. What moves, `domain::credits` says.

use crate::outcome::Outcome;
use crate::stored::{from_json, micros, number, word};
use domain::Timestamp;
use domain::account::AccountStatus;
use domain::admission::Standing;
use domain::credits::{Bucket, EntryKind, Month, Movement, Purse};
use domain::ids::{AccountId, EntryId, GenerationId};
use domain::tier::Tier;
use sqlx::sqlite::SqliteConnection;

/// The account's standing, its waiting work left out.
pub(crate) async fn load(connection: &mut SqliteConnection, id: AccountId) -> Outcome<Option<Standing>> {
    let id = id.uuid();
    let row = sqlx::query!(
        "select tier, status, overrides, granted, purchased, month, granted_in_month, used from accounts where id = ?",
        id
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Standing {
        tier: word(Tier::parse, &row.tier)?,
        status: word(AccountStatus::parse, &row.status)?,
        overrides: from_json(&row.overrides)?,
        purse: Purse {
            granted: row.granted,
            purchased: row.purchased,
            month: Month(number(row.month)?),
            granted_in_month: row.granted_in_month,
            used: row.used,
        },
        last_tag: None,
    }))
}

pub(crate) async fn store(connection: &mut SqliteConnection, id: AccountId, purse: &Purse) -> Outcome<()> {
    let id = id.uuid();
    sqlx::query!(
        "update accounts set granted = ?, purchased = ?, month = ?, granted_in_month = ?, used = ? where id = ?",
        purse.granted,
        purse.purchased,
        purse.month.0,
        purse.granted_in_month,
        purse.used,
        id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Appends what moved, in order: the entries' ids sort as the movements do.
pub(crate) async fn record(
    connection: &mut SqliteConnection,
    now: Timestamp,
    id: AccountId,
    generation: Option<GenerationId>,
    movements: &[Movement],
) -> Outcome<()> {
    let mut ids: Vec<_> = movements.iter().map(|_| EntryId::new(now, rand::random())).collect();
    ids.sort_unstable();
    for (movement, entry) in movements.iter().zip(ids) {
        // The month's roll happens at a debit, but belongs to no generation; nor does the lapse of what came back too late.
        let of_generation = matches!(movement.kind, EntryKind::Debit | EntryKind::Refund);
        let generation = generation.filter(|_| of_generation).map(GenerationId::uuid);
        insert(connection, now, id, entry, *movement, generation, None).await?;
    }
    Ok(())
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    now: Timestamp,
    account: AccountId,
    entry: EntryId,
    movement: Movement,
    generation: Option<uuid::Uuid>,
    reason: Option<&str>,
) -> Outcome<()> {
    let (account, entry, now) = (account.uuid(), entry.uuid(), micros(now));
    let (kind, bucket) = (movement.kind.name(), movement.bucket.name());
    sqlx::query!(
        "insert into credit_entries (account_id, id, kind, bucket, amount, generation_id, reason, created_at)
        values (?, ?, ?, ?, ?, ?, ?, ?)",
        account,
        entry,
        kind,
        bucket,
        movement.amount,
        generation,
        reason,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives back what a generation took, to the bucket and the month that it took it from.
pub(crate) async fn refund(
    connection: &mut SqliteConnection,
    now: Timestamp,
    id: AccountId,
    generation: GenerationId,
    bucket: Bucket,
    month: Month,
) -> Outcome<()> {
    let Some(standing) = load(connection, id).await? else { return Ok(()) };
    let mut purse = standing.purse;
    let movements = purse.refund(bucket, month);
    store(connection, id, &purse).await?;
    record(connection, now, id, Some(generation), &movements).await
}
