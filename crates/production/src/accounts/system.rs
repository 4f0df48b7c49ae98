//! The operator's own account and its one key, as the settings have it.

use crate::failure::Failure;
use crate::ledger::{Ledger, commit};
use domain::ports::accounts::{NewAccount, NewKey};
use sqlx::types::Json;

/// Gateways that start at once make one system account: the lock's number is a random one of ours.
const SYSTEM_LOCK: i64 = 0x5017_1a5d_c0de_0001;
/// Whoever comes first makes the account; each start makes the operator's present key its only one that opens.
pub(super) async fn ensure_system(ledger: &Ledger, account: &NewAccount, key: &NewKey) -> Result<(), Failure> {
    let mut transaction = ledger.begin().await?;
    sqlx::query!("select pg_advisory_xact_lock($1)", SYSTEM_LOCK).execute(&mut *transaction).await?;
    let found = sqlx::query_scalar!("select id from accounts where tier = 'system' order by id limit 1")
        .fetch_optional(&mut *transaction)
        .await?;
    let id = match found {
        Some(id) => {
            sqlx::query!(
                "update accounts set name = $2, overrides = $3, status = 'active'
                 where id = $1 and (name, overrides, status) is distinct from ($2, $3, 'active')",
                id,
                account.name,
                Json(account.overrides) as _,
            )
            .execute(&mut *transaction)
            .await?;
            id
        }
        None => sqlx::query_scalar!(
            "insert into accounts (id, name, email, tier, overrides) values ($1, $2, $3, 'system', $4) returning id",
            account.id.uuid(),
            account.name,
            account.email,
            Json(account.overrides) as _,
        )
        .fetch_one(&mut *transaction)
        .await?,
    };
    sqlx::query!(
        "update api_keys set revoked_at = now() where account_id = $1 and hash <> $2 and revoked_at is null",
        id,
        &key.hash.0[..],
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "insert into api_keys (id, account_id, name, prefix, hash, expires_at) values ($1, $2, $3, $4, $5, $6)
         on conflict (hash) do update
         set account_id = excluded.account_id, name = excluded.name, prefix = excluded.prefix, expires_at = excluded.expires_at,
             revoked_at = null",
        key.id.uuid(),
        id,
        key.name,
        key.prefix,
        &key.hash.0[..],
        key.expires_at,
    )
    .execute(&mut *transaction)
    .await?;
    commit(transaction).await
}
