//! The `Scaling` port on SQLite: one row that says who leads the autoscaler and what was last decided, and the load in one snapshot.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::{from_json, later, micros, number, to_json};
use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::WorkerId;
use domain::ports::tokens::{Epoch, Guarded};
use domain::ports::{Scaling, StoreError};
use domain::scaling::{Observed, Standing};
use std::time::Duration;

#[async_trait]
impl Scaling for Ledger {
    async fn lead_scaling(&self, replica: WorkerId, lease: Duration) -> Result<Option<Epoch>, StoreError> {
        Ok(lead(self, replica, lease).await?)
    }

    async fn resign_scaling(&self, replica: WorkerId) -> Result<(), StoreError> {
        Ok(resign(self, replica).await?)
    }

    async fn observe(&self) -> Result<(Observed, Timestamp), StoreError> {
        Ok(observe(self).await?)
    }

    async fn standing(&self) -> Result<Option<(Standing, Duration)>, StoreError> {
        Ok(standing(self).await?)
    }

    async fn record(&self, epoch: Epoch, standing: &Standing) -> Result<Guarded, StoreError> {
        Ok(record(self, epoch, standing).await?)
    }
}

async fn lead(ledger: &Ledger, replica: WorkerId, lease: Duration) -> Outcome<Option<Epoch>> {
    let (mut transaction, now) = ledger.write().await?;
    let (replica, expires_at, now) = (replica.uuid(), later(now, lease), micros(now));
    let epoch = sqlx::query_scalar!(
        r#"update scaling set expires_at = ?2, replica = ?1, epoch = epoch + (replica is null or replica <> ?1)
        where replica is null or replica = ?1 or expires_at <= ?3
        returning epoch"#,
        replica,
        expires_at,
        now
    )
    .fetch_optional(&mut *transaction)
    .await?;
    commit(transaction).await?;
    Ok(epoch.map(Epoch))
}

async fn resign(ledger: &Ledger, replica: WorkerId) -> Outcome<()> {
    let (mut transaction, _) = ledger.write().await?;
    let replica = replica.uuid();
    sqlx::query!("update scaling set replica = null, expires_at = 0 where replica = ?", replica)
        .execute(&mut *transaction)
        .await?;
    commit(transaction).await
}

async fn observe(ledger: &Ledger) -> Outcome<(Observed, Timestamp)> {
    let mut snapshot = ledger.read().begin().await?;
    let at = ledger.clock.now();
    let now = micros(at);
    let fleet = sqlx::query!(
        r#"select count(*) as "workers!: i64", count(cpu) as "told!: i64", avg(cpu) as "cpu?: f64", coalesce(max(slots), 0) as "slots!: i64",
            (select paused from scheduler) as "paused!: bool"
        from workers where state = 'alive' and expires_at > ? and not draining and not drain_asked"#,
        now
    )
    .fetch_one(&mut *snapshot)
    .await?;
    let queue = sqlx::query!(
        r#"select count(*) as "waiting!: i64", count(*) filter (where state = 'ready') as "due!: i64",
            min(run_after) filter (where state = 'ready') as "oldest?: i64"
        from work where state in ('ready', 'backoff')"#
    )
    .fetch_one(&mut *snapshot)
    .await?;
    let tokens = sqlx::query!(
        r#"select coalesce(sum(t.max_concurrency), 0) as "capacity!: i64",
            coalesce(sum(max(t.max_concurrency - coalesce(u.used, 0), 0)), 0) as "free!: i64"
        from tokens t
        left join (select token_id, count(*) as used from work where owner is not null group by token_id) u on u.token_id = t.id
        where (t.state = 'usable' or (t.state = 'cooling' and t.until <= ?1)) and (t.expires_at is null or t.expires_at > ?1)"#,
        now
    )
    .fetch_one(&mut *snapshot)
    .await?;
    let oldest = queue.oldest.map_or(0, |oldest| now.saturating_sub(oldest).max(0));
    let observed = Observed {
        workers: number(fleet.workers)?,
        cpu: fleet.cpu.filter(|_| fleet.told * 2 >= fleet.workers),
        waiting: number(queue.waiting)?,
        due: number(queue.due)?,
        oldest_waiting_seconds: oldest as f64 / 1e6,
        paused: fleet.paused,
        token_capacity: number(tokens.capacity)?,
        token_free: number(tokens.free)?,
        slots: number(fleet.slots)?,
    };
    Ok((observed, at))
}

async fn standing(ledger: &Ledger) -> Outcome<Option<(Standing, Duration)>> {
    let row = sqlx::query!("select standing, recorded_at from scaling").fetch_one(ledger.read()).await?;
    let (Some(stored), Some(recorded_at)) = (row.standing, row.recorded_at) else { return Ok(None) };
    let age = micros(ledger.clock.now()).saturating_sub(recorded_at);
    Ok(Some((from_json(&stored)?, Duration::from_micros(u64::try_from(age).unwrap_or(0)))))
}

async fn record(ledger: &Ledger, epoch: Epoch, standing: &Standing) -> Outcome<Guarded> {
    let (mut transaction, now) = ledger.write().await?;
    let (epoch, standing, now) = (epoch.0, to_json(standing)?, micros(now));
    let written =
        sqlx::query!("update scaling set standing = ?, recorded_at = ? where epoch = ?", standing, now, epoch)
            .execute(&mut *transaction)
            .await?;
    commit(transaction).await?;
    Ok(if written.rows_affected() == 0 { Guarded::StaleEpoch } else { Guarded::Done })
}
