//! Who leads the pool: one row with an expiry and an epoch that grows with every change of leader.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::{later, micros};
use domain::ids::WorkerId;
use domain::ports::tokens::{Epoch, Leadership};
use sqlx::sqlite::SqliteConnection;
use std::time::Duration;

pub(super) async fn lead(ledger: &Ledger, replica: WorkerId, address: &str, lease: Duration) -> Outcome<Leadership> {
    let (mut transaction, now) = ledger.write().await?;
    let (replica, expires_at, now) = (replica.uuid(), later(now, lease), micros(now));
    let leader = sqlx::query!(
        r#"update pool_leader set address = ?2, expires_at = ?3, replica = ?1,
            epoch = epoch + (replica is null or replica <> ?1)
        where replica is null or replica = ?1 or expires_at <= ?4
        returning epoch"#,
        replica,
        address,
        expires_at,
        now
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(leader) = leader {
        commit(transaction).await?;
        return Ok(Leadership::Leader(Epoch(leader.epoch)));
    }
    let leader = sqlx::query_scalar!("select address from pool_leader").fetch_one(&mut *transaction).await?;
    Ok(Leadership::Follower { leader })
}

pub(super) async fn resign(ledger: &Ledger, replica: WorkerId) -> Outcome<()> {
    let (mut transaction, _) = ledger.write().await?;
    let replica = replica.uuid();
    sqlx::query!("update pool_leader set replica = null, address = '', expires_at = 0 where replica = ?", replica)
        .execute(&mut *transaction)
        .await?;
    commit(transaction).await
}

/// Whether another leader has taken over since this epoch.
pub(super) async fn is_stale(connection: &mut SqliteConnection, epoch: Epoch) -> Outcome<bool> {
    let current = sqlx::query_scalar!("select epoch from pool_leader").fetch_one(connection).await?;
    Ok(epoch.0 < current)
}
