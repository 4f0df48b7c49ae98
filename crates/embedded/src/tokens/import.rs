//! Importing tokens: in order, no secret twice, no more than the pool may have.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::micros;
use crate::tokens::lead::is_stale;
use domain::Timestamp;
use domain::ids::TokenId;
use domain::ports::tokens::Epoch;
use domain::token::{ImportOutcome, TokenRecord};
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

pub(super) async fn import(
    ledger: &Ledger,
    epoch: Epoch,
    tokens: &[TokenRecord],
    max: u32,
) -> Outcome<Option<Vec<ImportOutcome>>> {
    let (mut transaction, now) = ledger.write().await?;
    if is_stale(&mut transaction, epoch).await? {
        return Ok(None);
    }
    let mut counted = count(&mut transaction, now).await?;
    let mut outcomes = Vec::with_capacity(tokens.len());
    for token in tokens {
        let outcome = match twin(&mut transaction, token).await? {
            Some(twin) => ImportOutcome::Duplicate(twin),
            None if counted >= i64::from(max) => ImportOutcome::PoolFull,
            None => {
                insert(&mut transaction, token).await?;
                counted = count(&mut transaction, now).await?;
                ImportOutcome::Imported(token.id)
            }
        };
        outcomes.push(outcome);
    }
    commit(transaction).await?;
    Ok(Some(outcomes))
}

/// Every token that is neither disabled nor expired.
async fn count(connection: &mut SqliteConnection, now: Timestamp) -> Outcome<i64> {
    let now = micros(now);
    let counted = sqlx::query_scalar!(
        r#"select count(*) as "counted!: i64" from tokens
        where state <> 'disabled' and (expires_at is null or expires_at > ?)"#,
        now
    )
    .fetch_one(connection)
    .await?;
    Ok(counted)
}

async fn twin(connection: &mut SqliteConnection, token: &TokenRecord) -> Outcome<Option<TokenId>> {
    let fingerprint = token.fingerprint.as_slice();
    let id = sqlx::query_scalar!(r#"select id as "id: Uuid" from tokens where fingerprint = ?"#, fingerprint)
        .fetch_optional(connection)
        .await?;
    Ok(id.map(TokenId::from_uuid))
}

async fn insert(connection: &mut SqliteConnection, token: &TokenRecord) -> Outcome<()> {
    let (id, fingerprint, state) = (token.id.uuid(), token.fingerprint.as_slice(), token.state.name());
    let (expires_at, until, created_at) =
        (token.expires_at.map(micros), token.until.map(micros), micros(token.created_at));
    sqlx::query!(
        "insert into tokens (id, label, key_id, wrapped_key, ciphertext, fingerprint, max_concurrency, requests_per_minute,
            expires_at, state, until, reason, created_at)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        token.label,
        token.sealed.key_id,
        token.sealed.wrapped_key,
        token.sealed.ciphertext,
        fingerprint,
        token.max_concurrency,
        token.requests_per_minute,
        expires_at,
        state,
        until,
        token.reason,
        created_at
    )
    .execute(connection)
    .await?;
    Ok(())
}
