//! API keys: made, listed, ended. A key's end is set once and never put off.

use crate::Ledger;
use crate::open::commit;
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

pub(super) async fn create(ledger: &Ledger, key: NewKey) -> Outcome<Option<KeyRecord>> {
    let (mut transaction, now) = ledger.write().await?;
    let account = key.account_id.uuid();
    let known = sqlx::query_scalar!(r#"select 1 as "one!: i64" from accounts where id = ?"#, account)
        .fetch_optional(&mut *transaction)
        .await?;
    if known.is_none() {
        return Ok(None);
    }
    insert(&mut transaction, now, &key).await?;
    let record = find(&mut transaction, key.account_id, key.id).await?;
    commit(transaction).await?;
    Ok(record)
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

/// A revocation is a moment of its own; the overlap of a rotation is an earlier expiry.
pub(super) async fn end(ledger: &Ledger, account: AccountId, id: KeyId, after: Duration) -> Outcome<Option<KeyRecord>> {
    let (mut transaction, now) = ledger.write().await?;
    let (of, key, ends_at) = (account.uuid(), id.uuid(), later(now, after));
    if after.is_zero() {
        sqlx::query!(
            "update api_keys set revoked_at = min(coalesce(revoked_at, ?1), ?1) where account_id = ?2 and id = ?3",
            ends_at,
            of,
            key
        )
        .execute(&mut *transaction)
        .await?;
    } else {
        sqlx::query!(
            "update api_keys set expires_at = min(coalesce(expires_at, ?1), ?1)
            where account_id = ?2 and id = ?3 and revoked_at is null",
            ends_at,
            of,
            key
        )
        .execute(&mut *transaction)
        .await?;
    }
    let record = find(&mut transaction, account, id).await?;
    commit(transaction).await?;
    Ok(record)
}
