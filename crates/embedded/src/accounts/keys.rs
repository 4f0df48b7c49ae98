//! API keys: made, listed, ended. A key's end is set once and never put off.

use crate::Ledger;
use crate::outcome::Outcome;
use crate::stored::{later, micros, moment, perhaps};
use domain::Timestamp;
use domain::account::KeyRecord;
use domain::ids::{AccountId, KeyId};
use domain::ports::accounts::NewKey;
use sqlx::sqlite::SqliteConnection;
use std::time::Duration;
use uuid::Uuid;

struct KeyRow {
    id: Uuid,
    account_id: Uuid,
    name: String,
    prefix: String,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl KeyRow {
    fn record(self) -> Outcome<KeyRecord> {
        Ok(KeyRecord {
            id: KeyId::from_uuid(self.id),
            account_id: AccountId::from_uuid(self.account_id),
            name: self.name,
            prefix: self.prefix,
            created_at: moment(self.created_at)?,
            expires_at: perhaps(self.expires_at)?,
            revoked_at: perhaps(self.revoked_at)?,
        })
    }
}

pub(super) async fn insert(connection: &mut SqliteConnection, now: Timestamp, key: &NewKey) -> Outcome<()> {
    let (id, account, hash) = (key.id.uuid(), key.account_id.uuid(), key.hash.0.as_slice());
    let (now, expires_at) = (micros(now), key.expires_at.map(micros));
    sqlx::query!(
        "insert into api_keys (id, account_id, name, prefix, hash, created_at, expires_at)
        values (?, ?, ?, ?, ?, ?, ?)",
        id,
        account,
        key.name,
        key.prefix,
        hash,
        now,
        expires_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn find(connection: &mut SqliteConnection, account: AccountId, id: KeyId) -> Outcome<Option<KeyRecord>> {
    let (account, id) = (account.uuid(), id.uuid());
    let row = sqlx::query_as!(
        KeyRow,
        r#"select id as "id: Uuid", account_id as "account_id: Uuid", name, prefix, created_at, expires_at, revoked_at
        from api_keys where account_id = ? and id = ?"#,
        account,
        id
    )
    .fetch_optional(connection)
    .await?;
    row.map(KeyRow::record).transpose()
}

pub(super) async fn create(
    connection: &mut SqliteConnection,
    now: Timestamp,
    key: &NewKey,
) -> Outcome<Option<KeyRecord>> {
    let account = key.account_id.uuid();
    let known = sqlx::query_scalar!(r#"select 1 as "one!: i64" from accounts where id = ?"#, account)
        .fetch_optional(&mut *connection)
        .await?;
    if known.is_none() {
        return Ok(None);
    }
    insert(connection, now, key).await?;
    find(connection, key.account_id, key.id).await
}

pub(super) async fn list(ledger: &Ledger, account: AccountId) -> Outcome<Vec<KeyRecord>> {
    let account = account.uuid();
    let rows = sqlx::query_as!(
        KeyRow,
        r#"select id as "id: Uuid", account_id as "account_id: Uuid", name, prefix, created_at, expires_at, revoked_at
        from api_keys where account_id = ? order by id desc"#,
        account
    )
    .fetch_all(ledger.read())
    .await?;
    rows.into_iter().map(KeyRow::record).collect()
}

/// A new key beside an old one that works; the old one's end is never put off.
pub(super) async fn rotate(
    connection: &mut SqliteConnection,
    now: Timestamp,
    old: KeyId,
    overlap: Duration,
    new: &NewKey,
) -> Outcome<Option<(KeyRecord, KeyRecord)>> {
    let account = new.account_id;
    let works = |key: &KeyRecord| key.revoked_at.is_none() && key.expires_at.is_none_or(|at| at > now);
    if !find(connection, account, old).await?.is_some_and(|key| works(&key)) {
        return Ok(None);
    }
    if overlap.is_zero() {
        revoke(connection, now, account, old).await?;
    } else {
        let (of, key, ends_at) = (account.uuid(), old.uuid(), later(now, overlap));
        sqlx::query!(
            "update api_keys set expires_at = min(coalesce(expires_at, ?1), ?1) where account_id = ?2 and id = ?3",
            ends_at,
            of,
            key
        )
        .execute(&mut *connection)
        .await?;
    }
    insert(connection, now, new).await?;
    Ok(find(connection, account, new.id).await?.zip(find(connection, account, old).await?))
}

pub(super) async fn revoke(
    connection: &mut SqliteConnection,
    now: Timestamp,
    account: AccountId,
    id: KeyId,
) -> Outcome<Option<KeyRecord>> {
    let (of, key, now) = (account.uuid(), id.uuid(), micros(now));
    sqlx::query!(
        "update api_keys set revoked_at = min(coalesce(revoked_at, ?1), ?1) where account_id = ?2 and id = ?3",
        now,
        of,
        key
    )
    .execute(&mut *connection)
    .await?;
    find(connection, account, id).await
}
