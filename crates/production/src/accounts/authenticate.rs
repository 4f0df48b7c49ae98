//! Whose key this is. One probe of a unique index; it never tells why a key does not open.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::AccountRow;
use domain::account::{Overrides, Principal};
use domain::api_key::KeyHash;
use domain::ids::KeyId;
use sqlx::types::Json;

pub(super) async fn authenticate(ledger: &Ledger, hash: &KeyHash) -> Result<Option<Principal>, Failure> {
    let row = sqlx::query!(
        r#"select k.id as key_id, a.id, a.name, a.email, a.tier, a.status, a.overrides as "overrides: Json<Overrides>", a.created_at
           from api_keys k join accounts a on a.id = k.account_id
           where k.hash = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())"#,
        &hash.0[..]
    )
    .fetch_optional(&ledger.pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let account = AccountRow {
        id: row.id,
        name: row.name,
        email: row.email,
        tier: row.tier,
        status: row.status,
        overrides: row.overrides,
        created_at: row.created_at,
    };
    Ok(Some(Principal { account: account.try_into()?, key_id: KeyId::from_uuid(row.key_id) }))
}
