//! The `Gateways` port: one leased row a gateway.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::seconds;
use async_trait::async_trait;
use domain::ids::GatewayId;
use domain::ports::{Gateways, StoreError};
use std::time::Duration;

#[async_trait]
impl Gateways for Ledger {
    async fn beat(&self, gateway: GatewayId, lease: Duration) -> Result<u32, StoreError> {
        self.write(|| beat(self, gateway, lease)).await
    }

    async fn leave(&self, gateway: GatewayId) -> Result<(), StoreError> {
        self.write(|| leave(self, gateway)).await
    }
}

/// One statement. Whoever has been silent for a minute is swept away; rows that a neighbour sweeps are left to it, so that nobody waits.
/// The count does not see this statement's own row, and adds it.
async fn beat(ledger: &Ledger, gateway: GatewayId, lease: Duration) -> Result<u32, Failure> {
    let mut connection = ledger.connection().await?;
    let others = sqlx::query_scalar!(
        r#"with beaten as (
               insert into gateways (id, expires_at) values ($1, now() + make_interval(secs => $2))
               on conflict (id) do update set expires_at = excluded.expires_at
           ), swept as (
               delete from gateways where id in (
                   select id from gateways where expires_at < now() - interval '1 minute' and id <> $1
                   order by id limit 100 for update skip locked
               )
           )
           select count(*) as "others!" from gateways where expires_at > now() and id <> $1"#,
        gateway.uuid(),
        seconds(lease),
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1))
}

async fn leave(ledger: &Ledger, gateway: GatewayId) -> Result<(), Failure> {
    let mut connection = ledger.connection().await?;
    sqlx::query!("delete from gateways where id = $1", gateway.uuid())
        .execute(&mut *connection)
        .await
        .map_err(Failure::unconfirmed)?;
    Ok(())
}
