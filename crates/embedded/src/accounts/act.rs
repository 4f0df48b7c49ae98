//! The `Operators` port: one order, its audit entry and its key in one transaction. Whatever is refused rolls back.

use super::{audit, credits, keys, profile};
use crate::Ledger;
use crate::generations::{cancel, queue};
use crate::open::commit;
use crate::outcome::{self, Unwell};
use crate::stored::{bytes, earlier as before, micros};
use crate::work::workers;
use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::AuditId;
use domain::ports::operators::{Acted, ChangeKey, Deed, Earlier, Order, Outcome};
use domain::ports::{Operators, StoreError};
use sqlx::sqlite::SqliteConnection;
use std::time::Duration;

/// How long a key stands for its change.
const KEYS_HOLD: Duration = Duration::from_secs(24 * 3_600);

#[async_trait]
impl Operators for Ledger {
    async fn act(&self, order: &Order, deed: &Deed<'_>) -> Result<Acted, StoreError> {
        Ok(act(self, order, deed).await?)
    }

    async fn earlier(&self, key: &ChangeKey) -> Result<Option<Earlier>, StoreError> {
        let mut connection = self.read().acquire().await.map_err(Unwell::from)?;
        Ok(earlier(&mut connection, self.clock.now(), key).await?)
    }
}

async fn act(ledger: &Ledger, order: &Order, deed: &Deed<'_>) -> outcome::Outcome<Acted> {
    let (mut transaction, now) = ledger.write().await?;
    if let Some(key) = &deed.key
        && let Some(earlier) = earlier(&mut transaction, now, key).await?
    {
        return Ok(Acted::Earlier(earlier));
    }
    let acted = carry_out(ledger, &mut transaction, now, order).await?;
    let Acted::Done(outcome) = &acted else { return Ok(acted) };
    audit::append(&mut transaction, now, &deed.entry).await?;
    if let Some(key) = &deed.key {
        remember(&mut transaction, now, key, deed.entry.id, (deed.answer)(outcome)).await?;
    }
    commit(transaction).await?;
    Ok(acted)
}

async fn earlier(
    connection: &mut SqliteConnection,
    now: Timestamp,
    key: &ChangeKey,
) -> outcome::Outcome<Option<Earlier>> {
    let (hash, since) = (key.hash.as_slice(), before(now, KEYS_HOLD));
    let row = sqlx::query!(
        r#"select fingerprint, entry as "entry: uuid::Uuid", answer as "answer!" from operator_keys where hash = ? and created_at >= ?"#,
        hash,
        since
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let entry = AuditId::from_uuid(row.entry);
    Ok(Some(Earlier { fingerprint: bytes(&row.fingerprint)?, entry, answer: row.answer }))
}

async fn remember(
    connection: &mut SqliteConnection,
    now: Timestamp,
    key: &ChangeKey,
    entry: AuditId,
    answer: Vec<u8>,
) -> outcome::Outcome<()> {
    let (hash, fingerprint, entry, now) = (key.hash.as_slice(), key.fingerprint.as_slice(), entry.uuid(), micros(now));
    sqlx::query!(
        "insert or replace into operator_keys (hash, fingerprint, entry, answer, created_at) values (?, ?, ?, ?, ?)",
        hash,
        fingerprint,
        entry,
        answer,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn carry_out(
    ledger: &Ledger,
    connection: &mut SqliteConnection,
    now: Timestamp,
    order: &Order,
) -> outcome::Outcome<Acted> {
    let outcome = match order {
        Order::CreateAccount(new) => Some(Outcome::Account(profile::create(connection, now, new).await?)),
        Order::ChangeAccount(id, change) => {
            profile::change(ledger, connection, now, *id, change).await?.map(Outcome::Account)
        }
        Order::CreateKey(key) => keys::create(connection, now, key).await?.map(Outcome::Key),
        Order::RotateKey { old, overlap, new } => {
            keys::rotate(connection, now, *old, *overlap, new).await?.map(|(new, old)| Outcome::Rotated { new, old })
        }
        Order::RevokeKey(account, id) => keys::revoke(connection, now, *account, *id).await?.map(Outcome::Key),
        Order::TopUp(top_up) => credits::top_up(connection, now, top_up).await?.map(Outcome::Entry),
        Order::Cancel(id) => return cancel::for_operator(ledger, connection, now, *id).await,
        Order::Pause(paused) => {
            queue::pause(connection, *paused).await?;
            Some(Outcome::Done)
        }
        Order::Drain(worker) => workers::ask_to_drain(connection, now, *worker).await?.then_some(Outcome::Done),
        Order::Told => Some(Outcome::Done),
    };
    Ok(outcome.map_or(Acted::NotFound, Acted::Done))
}
