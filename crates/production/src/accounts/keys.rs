//! Keys made, listed and ended. Only keyed hashes come here.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::seconds;
use domain::Timestamp;
use domain::account::KeyRecord;
use domain::ids::{AccountId, KeyId};
use domain::ports::accounts::NewKey;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// More keys than any account has a use for; the listing's bound.
const LISTED_MOST: i64 = 1_000;

struct KeyRow {
    id: Uuid,
    account_id: Uuid,
    name: String,
    prefix: String,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl From<KeyRow> for KeyRecord {
    fn from(row: KeyRow) -> Self {
        Self {
            id: KeyId::from_uuid(row.id),
            account_id: AccountId::from_uuid(row.account_id),
            name: row.name,
            prefix: row.prefix,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// The same id again is an earlier try whose answer was lost.
pub(super) async fn create(connection: &mut PgConnection, key: &NewKey) -> Result<Option<KeyRecord>, Failure> {
    let row = sqlx::query_as!(
        KeyRow,
        r#"insert into api_keys (id, account_id, name, prefix, hash, expires_at)
           select $1, a.id, $3, $4, $5, $6 from accounts a where a.id = $2
           on conflict (id) do update set name = api_keys.name
           returning id, account_id, name, prefix, created_at, expires_at, revoked_at"#,
        key.id.uuid(),
        key.account_id.uuid(),
        key.name,
        key.prefix,
        &key.hash.0[..],
        key.expires_at,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(KeyRecord::from))
}

pub(super) async fn list(ledger: &Ledger, account_id: AccountId) -> Result<Vec<KeyRecord>, Failure> {
    let rows = sqlx::query_as!(
        KeyRow,
        r#"select id, account_id, name, prefix, created_at, expires_at, revoked_at
           from api_keys where account_id = $1 order by id limit $2"#,
        account_id.uuid(),
        LISTED_MOST,
    )
    .fetch_all(&ledger.pool)
    .await?;
    Ok(rows.into_iter().map(KeyRecord::from).collect())
}

/// A new key beside an old one that works; the old one's end is never put off.
pub(super) async fn rotate(
    connection: &mut PgConnection,
    old: KeyId,
    overlap: Duration,
    new: &NewKey,
) -> Result<Option<(KeyRecord, KeyRecord)>, Failure> {
    let row = sqlx::query_as!(
        KeyRow,
        r#"update api_keys
           set revoked_at = case when $3::float8 = 0 then now() end,
               expires_at = case when $3 = 0 then expires_at else least(expires_at, now() + make_interval(secs => $3)) end
           where account_id = $1 and id = $2 and revoked_at is null and (expires_at is null or expires_at > now())
           returning id, account_id, name, prefix, created_at, expires_at, revoked_at"#,
        new.account_id.uuid(),
        old.uuid(),
        seconds(overlap),
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(old) = row.map(KeyRecord::from) else { return Ok(None) };
    Ok(create(connection, new).await?.map(|new| (new, old)))
}

pub(super) async fn revoke(
    connection: &mut PgConnection,
    account_id: AccountId,
    id: KeyId,
) -> Result<Option<KeyRecord>, Failure> {
    let row = sqlx::query_as!(
        KeyRow,
        r#"update api_keys set revoked_at = coalesce(revoked_at, now()) where account_id = $1 and id = $2
           returning id, account_id, name, prefix, created_at, expires_at, revoked_at"#,
        account_id.uuid(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(KeyRecord::from))
}
