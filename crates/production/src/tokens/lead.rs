//! Who leads the pool: a leased row with an epoch that grows with every change of leader.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::seconds;
use domain::ids::WorkerId;
use domain::ports::tokens::{Epoch, Leadership};
use std::time::Duration;

pub(super) async fn lead(
    ledger: &Ledger,
    replica: WorkerId,
    address: &str,
    lease: Duration,
) -> Result<Leadership, Failure> {
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

pub(super) async fn resign(ledger: &Ledger, replica: WorkerId) -> Result<(), Failure> {
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
