//! The tokens' rows: read as a whole, one changed or deleted under the leader's epoch. Secrets are sealed before they come here.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::{natural, word};
use domain::Timestamp;
use domain::ids::TokenId;
use domain::ports::tokens::{Epoch, Guarded};
use domain::token::{SealedSecret, TokenRecord, TokenState};

pub(super) async fn load(ledger: &Ledger) -> Result<Vec<TokenRecord>, Failure> {
    let rows = sqlx::query!(
        "select id, label, key_id, wrapped_key, ciphertext, fingerprint, max_concurrency, requests_per_minute, expires_at, state,
                until, reason, created_at
         from tokens order by id"
    )
    .fetch_all(&ledger.pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(TokenRecord {
                id: TokenId::from_uuid(row.id),
                label: row.label,
                sealed: SealedSecret { key_id: row.key_id, wrapped_key: row.wrapped_key, ciphertext: row.ciphertext },
                fingerprint: row
                    .fingerprint
                    .try_into()
                    .map_err(|_| Failure::corrupt("a fingerprint that is not 32 bytes"))?,
                max_concurrency: natural(row.max_concurrency),
                requests_per_minute: row.requests_per_minute.map(natural),
                expires_at: row.expires_at,
                state: word(TokenState::parse, &row.state, "token state")?,
                until: row.until,
                reason: row.reason,
                created_at: row.created_at,
            })
        })
        .collect()
}

/// Whether the epoch is the leader's, and whether a row was changed.
fn guarded(leads: bool, changed: bool) -> Guarded {
    match (leads, changed) {
        (false, _) => Guarded::StaleEpoch,
        (true, false) => Guarded::NotFound,
        (true, true) => Guarded::Done,
    }
}

pub(super) async fn set_state(
    ledger: &Ledger,
    epoch: Epoch,
    id: TokenId,
    state: TokenState,
    until: Option<Timestamp>,
    reason: Option<&str>,
) -> Result<Guarded, Failure> {
    let mut connection = ledger.connection().await?;
    let row = sqlx::query!(
        r#"with leader as materialized (select epoch from pool_leader where epoch = $1 for share),
                changed as (
                    update tokens set state = $3, until = $4, reason = $5 where id = $2 and exists (select from leader) returning 1
                )
           select exists (select from leader) as "leads!", exists (select from changed) as "changed!""#,
        epoch.0,
        id.uuid(),
        state.name(),
        until,
        reason,
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(guarded(row.leads, row.changed))
}

pub(super) async fn reseal(
    ledger: &Ledger,
    epoch: Epoch,
    id: TokenId,
    sealed: &SealedSecret,
) -> Result<Guarded, Failure> {
    let mut connection = ledger.connection().await?;
    let row = sqlx::query!(
        r#"with leader as materialized (select epoch from pool_leader where epoch = $1 for share),
                changed as (
                    update tokens set key_id = $3, wrapped_key = $4, ciphertext = $5 where id = $2 and exists (select from leader) returning 1
                )
           select exists (select from leader) as "leads!", exists (select from changed) as "changed!""#,
        epoch.0,
        id.uuid(),
        sealed.key_id,
        sealed.wrapped_key,
        sealed.ciphertext,
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(guarded(row.leads, row.changed))
}

pub(super) async fn delete(ledger: &Ledger, epoch: Epoch, id: TokenId) -> Result<Guarded, Failure> {
    let mut connection = ledger.connection().await?;
    let row = sqlx::query!(
        r#"with leader as materialized (select epoch from pool_leader where epoch = $1 for share),
                gone as (delete from tokens where id = $2 and exists (select from leader) returning 1)
           select exists (select from leader) as "leads!", exists (select from gone) as "changed!""#,
        epoch.0,
        id.uuid(),
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(guarded(row.leads, row.changed))
}
