//! Whose key is this? Asked on every request that no cache answers: one statement.

use crate::Ledger;
use crate::accounts::profile::AccountRow;
use crate::outcome::Outcome;
use crate::stored::micros;
use domain::account::Principal;
use domain::api_key::KeyHash;
use domain::ids::KeyId;
use uuid::Uuid;

pub(super) async fn authenticate(ledger: &Ledger, hash: &KeyHash) -> Outcome<Option<Principal>> {
    let (hash, now) = (hash.0.as_slice(), micros(ledger.clock.now()));
    let row = sqlx::query!(
        r#"select k.id as "key_id: Uuid", a.id as "id: Uuid", a.name, a.email, a.tier, a.status, a.overrides, a.created_at
        from api_keys k join accounts a on a.id = k.account_id
        where k.hash = ?1 and (k.expires_at is null or k.expires_at > ?2) and (k.revoked_at is null or k.revoked_at > ?2)"#,
        hash,
        now
    )
    .fetch_optional(ledger.read())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let key_id = KeyId::from_uuid(row.key_id);
    let account = AccountRow {
        id: row.id,
        name: row.name,
        email: row.email,
        tier: row.tier,
        status: row.status,
        overrides: row.overrides,
        created_at: row.created_at,
    };
    Ok(Some(Principal { account: account.account()?, key_id }))
}
