//! The pool's records: loaded whole, changed only under the leader's epoch.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::{bytes, micros, moment, number, perhaps, word};
use crate::tokens::lead::is_stale;
use domain::Timestamp;
use domain::ids::TokenId;
use domain::ports::tokens::{Epoch, Guarded};
use domain::token::{SealedSecret, TokenRecord, TokenState};
use uuid::Uuid;

pub(super) async fn load(ledger: &Ledger) -> Outcome<Vec<TokenRecord>> {
    let rows = sqlx::query!(
        r#"select id as "id: Uuid", label, key_id, wrapped_key, ciphertext, fingerprint, max_concurrency, requests_per_minute,
            expires_at, state, until, reason, created_at
        from tokens order by id"#
    )
    .fetch_all(ledger.read())
    .await?;
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        records.push(TokenRecord {
            id: TokenId::from_uuid(row.id),
            label: row.label,
            sealed: SealedSecret { key_id: row.key_id, wrapped_key: row.wrapped_key, ciphertext: row.ciphertext },
            fingerprint: bytes(&row.fingerprint)?,
            max_concurrency: number(row.max_concurrency)?,
            requests_per_minute: row.requests_per_minute.map(number).transpose()?,
            expires_at: perhaps(row.expires_at)?,
            state: word(TokenState::parse, &row.state)?,
            until: perhaps(row.until)?,
            reason: row.reason,
            created_at: moment(row.created_at)?,
        });
    }
    Ok(records)
}

pub(super) async fn set_state(
    ledger: &Ledger,
    epoch: Epoch,
    id: TokenId,
    state: TokenState,
    until: Option<Timestamp>,
    reason: Option<String>,
) -> Outcome<Guarded> {
    let (mut transaction, _) = ledger.write().await?;
    if is_stale(&mut transaction, epoch).await? {
        return Ok(Guarded::StaleEpoch);
    }
    let (id, state, until) = (id.uuid(), state.name(), until.map(micros));
    let set = sqlx::query!("update tokens set state = ?, until = ?, reason = ? where id = ?", state, until, reason, id)
        .execute(&mut *transaction)
        .await?;
    commit(transaction).await?;
    Ok(found(set.rows_affected()))
}

pub(super) async fn reseal(ledger: &Ledger, epoch: Epoch, id: TokenId, sealed: SealedSecret) -> Outcome<Guarded> {
    let (mut transaction, _) = ledger.write().await?;
    if is_stale(&mut transaction, epoch).await? {
        return Ok(Guarded::StaleEpoch);
    }
    let (id, SealedSecret { key_id, wrapped_key, ciphertext }) = (id.uuid(), sealed);
    let set = sqlx::query!(
        "update tokens set key_id = ?, wrapped_key = ?, ciphertext = ? where id = ?",
        key_id,
        wrapped_key,
        ciphertext,
        id
    )
    .execute(&mut *transaction)
    .await?;
    commit(transaction).await?;
    Ok(found(set.rows_affected()))
}

pub(super) async fn delete(ledger: &Ledger, epoch: Epoch, id: TokenId) -> Outcome<Guarded> {
    let (mut transaction, _) = ledger.write().await?;
    if is_stale(&mut transaction, epoch).await? {
        return Ok(Guarded::StaleEpoch);
    }
    let id = id.uuid();
    let deleted = sqlx::query!("delete from tokens where id = ?", id).execute(&mut *transaction).await?;
    commit(transaction).await?;
    Ok(found(deleted.rows_affected()))
}

const fn found(rows: u64) -> Guarded {
    if rows == 0 { Guarded::NotFound } else { Guarded::Done }
}
