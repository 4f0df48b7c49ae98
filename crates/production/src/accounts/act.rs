//! The `Operators` port: one order, its audit entry and its key in one transaction.
//!
//! The key's row comes first, so that a second order with it waits for the first to end and then finds it. Whatever is refused rolls back.

use super::{audit, credits, keys, profile};
use crate::failure::Failure;
use crate::generations::{cancel, queue};
use crate::ledger::{Ledger, commit};
use crate::work::{retag, workers};
use async_trait::async_trait;
use domain::ids::AuditId;
use domain::ports::operators::{Acted, ChangeKey, Deed, Earlier, Order, Outcome};
use domain::ports::{Operators, StoreError};
use sqlx::PgConnection;

#[async_trait]
impl Operators for Ledger {
    async fn act(&self, order: &Order, deed: &Deed<'_>) -> Result<Acted, StoreError> {
        let acted = self.write(|| act(self, order, deed)).await?;
        // Also for whoever asks again with the key: the first may have died between its change and this, which is idempotent.
        let changed = match (order, &acted) {
            (Order::ChangeAccount(_, _), Acted::Done(Outcome::Account(account))) => Some(account.clone()),
            (Order::ChangeAccount(id, _), Acted::Earlier(_)) => self.read(|| profile::show(self, *id)).await?,
            _ => None,
        };
        if let Some(account) = changed {
            let (id, share) = (account.id, account.limits(&self.tiers).share);
            let mut from = None;
            loop {
                from = self.write(|| retag(self, id, share, from)).await?;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(acted)
    }

    async fn earlier(&self, key: &ChangeKey) -> Result<Option<Earlier>, StoreError> {
        self.read(|| async {
            let mut connection = self.connection().await?;
            earlier(&mut connection, key).await
        })
        .await
    }
}

async fn act(ledger: &Ledger, order: &Order, deed: &Deed<'_>) -> Result<Acted, Failure> {
    let mut transaction = ledger.begin().await?;
    if let Some(key) = &deed.key
        && !take(&mut transaction, key, deed.entry.id).await?
    {
        let earlier = earlier(&mut transaction, key).await?;
        // It was there a moment ago: a day has passed between the two statements.
        return earlier.map(Acted::Earlier).ok_or_else(|| Failure::Contended("an operator's key lapsed".to_owned()));
    }
    let acted = carry_out(ledger, &mut transaction, order).await?;
    let Acted::Done(outcome) = &acted else {
        transaction.rollback().await?;
        return Ok(acted);
    };
    audit::append(&mut transaction, &deed.entry).await?;
    if let Some(key) = &deed.key {
        let answer = (deed.answer)(outcome);
        sqlx::query!("update operator_keys set answer = $2 where hash = $1", &key.hash[..], answer)
            .execute(&mut *transaction)
            .await?;
    }
    commit(transaction).await?;
    Ok(acted)
}

/// Whether the key is this order's from here on.
async fn take(connection: &mut PgConnection, key: &ChangeKey, entry: AuditId) -> Result<bool, Failure> {
    let taken = sqlx::query!(
        "insert into operator_keys as k (hash, fingerprint, entry) values ($1, $2, $3)
         on conflict (hash) do update set fingerprint = excluded.fingerprint, entry = excluded.entry, answer = null, created_at = now()
         where k.created_at < now() - interval '24 hours'",
        &key.hash[..],
        &key.fingerprint[..],
        entry.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() > 0)
}

async fn earlier(connection: &mut PgConnection, key: &ChangeKey) -> Result<Option<Earlier>, Failure> {
    let row = sqlx::query!(
        r#"select fingerprint, entry, answer as "answer!" from operator_keys
           where hash = $1 and answer is not null and created_at >= now() - interval '24 hours'"#,
        &key.hash[..]
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let fingerprint = row.fingerprint.try_into().map_err(|_| Failure::corrupt("a fingerprint of another length"))?;
    Ok(Some(Earlier { fingerprint, entry: AuditId::from_uuid(row.entry), answer: row.answer }))
}

async fn carry_out(ledger: &Ledger, connection: &mut PgConnection, order: &Order) -> Result<Acted, Failure> {
    let outcome = match order {
        Order::CreateAccount(new) => Some(Outcome::Account(profile::create(connection, new).await?)),
        Order::ChangeAccount(id, change) => {
            profile::change(ledger, connection, *id, change).await?.map(Outcome::Account)
        }
        Order::CreateKey(key) => keys::create(connection, key).await?.map(Outcome::Key),
        Order::RotateKey { old, overlap, new } => {
            keys::rotate(connection, *old, *overlap, new).await?.map(|(new, old)| Outcome::Rotated { new, old })
        }
        Order::RevokeKey(account, id) => keys::revoke(connection, *account, *id).await?.map(Outcome::Key),
        Order::TopUp(top_up) => credits::top_up(connection, top_up).await?.map(Outcome::Entry),
        Order::Cancel(id) => return cancel::for_operator(connection, *id).await,
        Order::Pause(paused) => queue::pause(connection, *paused).await.map(|()| Some(Outcome::Done))?,
        Order::Drain(worker) => workers::ask_to_drain(connection, *worker).await?.then_some(Outcome::Done),
        Order::Told => Some(Outcome::Done),
    };
    Ok(outcome.map_or(Acted::NotFound, Acted::Done))
}
