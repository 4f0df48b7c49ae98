//! The system account and its one key, made or brought up to date at a gateway's start. Its id is the first one's for ever.

use crate::Ledger;
use crate::accounts::{keys, profile};
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::{micros, to_json};
use domain::ids::AccountId;
use domain::ports::accounts::{NewAccount, NewKey};
use uuid::Uuid;

pub(super) async fn ensure(ledger: &Ledger, account: NewAccount, key: NewKey) -> Outcome<()> {
    let (mut transaction, now) = ledger.write().await?;
    let known = sqlx::query_scalar!(
        r#"select id as "id: Uuid" from accounts where tier = 'system' order by created_at, id limit 1"#
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let id = match known {
        Some(id) => {
            let overrides = to_json(&account.overrides)?;
            sqlx::query!(
                "update accounts set name = ?, email = ?, overrides = ?, status = 'active' where id = ?",
                account.name,
                account.email,
                overrides,
                id
            )
            .execute(&mut *transaction)
            .await?;
            AccountId::from_uuid(id)
        }
        None => profile::insert(&mut transaction, now, account).await?.id,
    };
    let (of, hash, moment) = (id.uuid(), key.hash.0.as_slice(), micros(now));
    sqlx::query!(
        "update api_keys set revoked_at = ?1 where account_id = ?2 and hash <> ?3 and revoked_at is null",
        moment,
        of,
        hash
    )
    .execute(&mut *transaction)
    .await?;
    // The operator's key opens, whatever became of it before.
    let revived = sqlx::query!(
        "update api_keys set account_id = ?1, revoked_at = null, expires_at = null where hash = ?2",
        of,
        hash
    )
    .execute(&mut *transaction)
    .await?;
    if revived.rows_affected() == 0 {
        keys::insert(&mut transaction, now, &NewKey { account_id: id, ..key }).await?;
    }
    commit(transaction).await
}
