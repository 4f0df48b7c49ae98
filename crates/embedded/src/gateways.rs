//! The `Gateways` port on SQLite: one leased row a gateway. There is usually one, and those of former processes lapse.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::{later, micros, number};
use async_trait::async_trait;
use domain::ids::GatewayId;
use domain::ports::{Gateways, StoreError};
use std::time::Duration;

#[async_trait]
impl Gateways for Ledger {
    async fn beat(&self, gateway: GatewayId, lease: Duration) -> Result<u32, StoreError> {
        Ok(beat(self, gateway, lease).await?)
    }

    async fn leave(&self, gateway: GatewayId) -> Result<(), StoreError> {
        Ok(leave(self, gateway).await?)
    }
}

async fn beat(ledger: &Ledger, gateway: GatewayId, lease: Duration) -> Outcome<u32> {
    let (mut transaction, now) = ledger.write().await?;
    let (id, expires_at, now) = (gateway.uuid(), later(now, lease), micros(now));
    sqlx::query!("delete from gateways where expires_at <= ?", now).execute(&mut *transaction).await?;
    sqlx::query!(
        "insert into gateways (id, expires_at) values (?, ?) on conflict (id) do update set expires_at = excluded.expires_at",
        id,
        expires_at
    )
    .execute(&mut *transaction)
    .await?;
    let live = sqlx::query_scalar!("select count(*) from gateways").fetch_one(&mut *transaction).await?;
    commit(transaction).await?;
    number(live)
}

async fn leave(ledger: &Ledger, gateway: GatewayId) -> Outcome<()> {
    let (mut transaction, _) = ledger.write().await?;
    let id = gateway.uuid();
    sqlx::query!("delete from gateways where id = ?", id).execute(&mut *transaction).await?;
    commit(transaction).await
}
