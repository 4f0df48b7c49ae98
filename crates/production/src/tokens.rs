//! The token pool's records and who leads it. Every write holds the leader's row while it compares epochs, so a new leader comes before it or after
//! it, never in between.

use crate::failure::Failure;
use crate::ledger::{Ledger, commit};
use crate::rows::{integer, natural, seconds, word};
use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{LeaseId, TokenId, WorkerId};
use domain::ports::tokens::{Epoch, Guarded, Leadership};
use domain::ports::{StoreError, Tokens};
use domain::token::{ImportOutcome, NamedLease, SealedSecret, TokenRecord, TokenState};
use std::collections::HashMap;
use std::time::Duration;

#[async_trait]
impl Tokens for Ledger {
    async fn lead(&self, replica: WorkerId, address: &str, lease: Duration) -> Result<Leadership, StoreError> {
        self.write(|| lead(self, replica, address, lease)).await
    }

    async fn resign(&self, replica: WorkerId) -> Result<(), StoreError> {
        self.write(|| resign(self, replica)).await
    }

    async fn load(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.read(|| load(self)).await
    }

    async fn import(
        &self,
        epoch: Epoch,
        tokens: Vec<TokenRecord>,
        max: u32,
    ) -> Result<Option<Vec<ImportOutcome>>, StoreError> {
        self.write(|| import(self, epoch, &tokens, max)).await
    }

    async fn set_state(
        &self,
        epoch: Epoch,
        id: TokenId,
        state: TokenState,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Result<Guarded, StoreError> {
        self.write(|| set_state(self, epoch, id, state, until, reason.as_deref())).await
    }

    async fn delete(&self, epoch: Epoch, id: TokenId) -> Result<Guarded, StoreError> {
        self.write(|| delete(self, epoch, id)).await
    }

    async fn leases(&self) -> Result<Vec<NamedLease>, StoreError> {
        self.read(|| leases(self)).await
    }
}

async fn lead(ledger: &Ledger, replica: WorkerId, address: &str, lease: Duration) -> Result<Leadership, Failure> {
    let mut connection = ledger.connection().await?;
    let epoch = sqlx::query_scalar!(
        r#"update pool_leader
           set epoch = case when replica = $1 then epoch else epoch + 1 end,
               replica = $1, address = $2, expires_at = now() + make_interval(secs => $3)
           where replica = $1 or replica is null or expires_at <= now()
           returning epoch"#,
        replica.uuid(),
        address,
        seconds(lease),
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    if let Some(epoch) = epoch {
        return Ok(Leadership::Leader(Epoch(epoch)));
    }
    let leader = sqlx::query_scalar!("select address from pool_leader").fetch_one(&mut *connection).await?;
    Ok(Leadership::Follower { leader })
}

async fn resign(ledger: &Ledger, replica: WorkerId) -> Result<(), Failure> {
    let mut connection = ledger.connection().await?;
    sqlx::query!(
        "update pool_leader set replica = null, address = '', expires_at = '-infinity' where replica = $1",
        replica.uuid()
    )
    .execute(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(())
}

async fn load(ledger: &Ledger) -> Result<Vec<TokenRecord>, Failure> {
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

async fn import(
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
    let counted = sqlx::query_scalar!(
        r#"select count(*) as "count!" from tokens where state <> 'disabled' and (expires_at is null or expires_at > now())"#
    )
    .fetch_one(&mut *transaction)
    .await?;
    let mut room = (i64::from(max) - counted).max(0);
    let mut outcomes = Vec::with_capacity(tokens.len());
    for token in tokens {
        let fingerprint = token.fingerprint.to_vec();
        if let Some(id) = known.get(&fingerprint) {
            outcomes.push(ImportOutcome::Duplicate(*id));
            continue;
        }
        if room == 0 {
            outcomes.push(ImportOutcome::PoolFull);
            continue;
        }
        sqlx::query!(
            "insert into tokens (id, label, key_id, wrapped_key, ciphertext, fingerprint, max_concurrency, requests_per_minute,
                                 expires_at, state, until, reason)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
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
        )
        .execute(&mut *transaction)
        .await?;
        room -= 1;
        known.insert(fingerprint, token.id);
        outcomes.push(ImportOutcome::Imported(token.id));
    }
    commit(transaction).await?;
    Ok(Some(outcomes))
}

/// Whether the epoch is the leader's, and whether a row was changed.
fn guarded(leads: bool, changed: bool) -> Guarded {
    match (leads, changed) {
        (false, _) => Guarded::StaleEpoch,
        (true, false) => Guarded::NotFound,
        (true, true) => Guarded::Done,
    }
}

async fn set_state(
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

async fn delete(ledger: &Ledger, epoch: Epoch, id: TokenId) -> Result<Guarded, Failure> {
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

/// By the index of owned work, so that a backlog costs nothing. A dead worker's are nobody's until they are adopted.
async fn leases(ledger: &Ledger) -> Result<Vec<NamedLease>, Failure> {
    let rows = sqlx::query!(
        r#"select w.lease_id as "lease_id!", w.token_id as "token_id!",
                  case when o.state = 'alive' then w.owner end as owner
           from work w left join workers o on o.id = w.owner
           where w.owner is not null"#
    )
    .fetch_all(&ledger.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| NamedLease {
            lease_id: LeaseId::from_uuid(row.lease_id),
            token_id: TokenId::from_uuid(row.token_id),
            owner: row.owner.map(WorkerId::from_uuid),
        })
        .collect())
}
