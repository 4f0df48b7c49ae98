//! Tokens imported in order: duplicates keep what they have, and what counts keeps to the maximum.

use crate::failure::Failure;
use crate::ledger::{Ledger, commit};
use crate::rows::integer;
use domain::ids::TokenId;
use domain::ports::tokens::Epoch;
use domain::token::{ImportOutcome, TokenRecord, TokenState};
use std::collections::HashMap;

pub(super) async fn import(
    ledger: &Ledger,
    epoch: Epoch,
    tokens: &[TokenRecord],
    max: u32,
) -> Result<Option<Vec<ImportOutcome>>, Failure> {
    let mut transaction = ledger.begin().await?;
    // Imports go one after the other, so that together they keep to the maximum.
    let leads = sqlx::query_scalar!("select epoch from pool_leader where epoch = $1 for no key update", epoch.0)
        .fetch_optional(&mut *transaction)
        .await?;
    if leads.is_none() {
        return Ok(None);
    }
    let fingerprints: Vec<_> = tokens.iter().map(|token| token.fingerprint.to_vec()).collect();
    let known = sqlx::query!("select id, fingerprint from tokens where fingerprint = any($1)", &fingerprints)
        .fetch_all(&mut *transaction)
        .await?;
    let mut known: HashMap<Vec<u8>, TokenId> =
        known.into_iter().map(|row| (row.fingerprint, TokenId::from_uuid(row.id))).collect();
    let counted = sqlx::query!(
        r#"select count(*) filter (where state <> 'disabled' and (expires_at is null or expires_at > now())) as "count!", now() as "now!"
           from tokens"#
    )
    .fetch_one(&mut *transaction)
    .await?;
    let mut room = i64::from(max) - counted.count;
    let mut outcomes = Vec::with_capacity(tokens.len());
    for token in tokens {
        let fingerprint = token.fingerprint.to_vec();
        if let Some(id) = known.get(&fingerprint) {
            outcomes.push(ImportOutcome::Duplicate(*id));
            continue;
        }
        if room <= 0 {
            outcomes.push(ImportOutcome::PoolFull);
            continue;
        }
        sqlx::query!(
            "insert into tokens (id, label, key_id, wrapped_key, ciphertext, fingerprint, max_concurrency, requests_per_minute,
                                 expires_at, state, until, reason, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            token.id.uuid(),
            token.label,
            token.sealed.key_id,
            token.sealed.wrapped_key,
            token.sealed.ciphertext,
            fingerprint,
            integer(token.max_concurrency),
            token.requests_per_minute.map(integer),
            token.expires_at,
            token.state.name(),
            token.until,
            token.reason,
            token.created_at,
        )
        .execute(&mut *transaction)
        .await?;
        let counts = token.state != TokenState::Disabled && token.expires_at.is_none_or(|at| at > counted.now);
        room -= i64::from(counts);
        known.insert(fingerprint, token.id);
        outcomes.push(ImportOutcome::Imported(token.id));
    }
    commit(transaction).await?;
    Ok(Some(outcomes))
}
