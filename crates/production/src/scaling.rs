//! The `Scaling` port: one row that says who leads the autoscaler and what was last decided, and the load in one statement.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::{natural, natural_64, seconds};
use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::WorkerId;
use domain::ports::tokens::{Epoch, Guarded};
use domain::ports::{Scaling, StoreError};
use domain::scaling::{Observed, Standing};
use sqlx::types::Json;
use std::time::Duration;

#[async_trait]
impl Scaling for Ledger {
    async fn lead_scaling(&self, replica: WorkerId, lease: Duration) -> Result<Option<Epoch>, StoreError> {
        self.write(|| lead(self, replica, lease)).await
    }

    async fn resign_scaling(&self, replica: WorkerId) -> Result<(), StoreError> {
        self.write(|| resign(self, replica)).await
    }

    async fn observe(&self) -> Result<(Observed, Timestamp), StoreError> {
        self.read(|| observe(self)).await
    }

    async fn standing(&self) -> Result<Option<(Standing, Duration)>, StoreError> {
        self.read(|| standing(self)).await
    }

    async fn record(&self, epoch: Epoch, standing: &Standing) -> Result<Guarded, StoreError> {
        self.write(|| record(self, epoch, standing)).await
    }
}

async fn lead(ledger: &Ledger, replica: WorkerId, lease: Duration) -> Result<Option<Epoch>, Failure> {
    let mut connection = ledger.connection().await?;
    let epoch = sqlx::query_scalar!(
        r#"update scaling
           set epoch = case when replica = $1 then epoch else epoch + 1 end,
               replica = $1, expires_at = now() + make_interval(secs => $2)
           where replica = $1 or replica is null or expires_at <= now()
           returning epoch"#,
        replica.uuid(),
        seconds(lease),
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(epoch.map(Epoch))
}

async fn resign(ledger: &Ledger, replica: WorkerId) -> Result<(), Failure> {
    let mut connection = ledger.connection().await?;
    sqlx::query!("update scaling set replica = null, expires_at = '-infinity' where replica = $1", replica.uuid())
        .execute(&mut *connection)
        .await
        .map_err(Failure::unconfirmed)?;
    Ok(())
}

async fn observe(ledger: &Ledger) -> Result<(Observed, Timestamp), Failure> {
    let row = sqlx::query!(
        r#"select now() as "at!", s.paused, w.workers as "workers!", w.told as "told!", w.cpu, w.slots as "slots!",
                  q.waiting as "waiting!", q.due as "due!", greatest(extract(epoch from now() - q.oldest), 0)::float8 as "oldest?",
                  t.capacity as "capacity!", t.free as "free!"
           from scheduler s
           cross join (
               select count(*) as workers, count(cpu) as told, avg(cpu) as cpu, coalesce(max(slots), 0) as slots
               from workers where state = 'alive' and expires_at > now() and not draining and not drain_asked) w
           cross join (
               select count(*) as waiting, count(*) filter (where state = 'ready') as due,
                      min(run_after) filter (where state = 'ready') as oldest
               from work where state in ('ready', 'backoff')) q
           cross join (
               select coalesce(sum(capacity), 0)::bigint as capacity, coalesce(sum(greatest(capacity - used, 0)), 0)::bigint as free
               from (select id, sum(capacity) as capacity, sum(used) as used
                     from (select id, max_concurrency as capacity, 0 as used from tokens
                           where (state = 'usable' or (state = 'cooling' and until <= now())) and (expires_at is null or expires_at > now())
                           union all
                           select token_id, 0, 1 from work where owner is not null) as told
                     group by id) as each) t"#
    )
    .fetch_one(&ledger.pool)
    .await?;
    let observed = Observed {
        workers: u32::try_from(row.workers).unwrap_or(u32::MAX),
        cpu: row.cpu.filter(|_| row.told * 2 >= row.workers),
        waiting: natural_64(row.waiting),
        due: natural_64(row.due),
        oldest_waiting_seconds: row.oldest.unwrap_or_default(),
        paused: row.paused,
        token_capacity: natural_64(row.capacity),
        token_free: natural_64(row.free),
        slots: natural(row.slots),
    };
    Ok((observed, row.at))
}

async fn standing(ledger: &Ledger) -> Result<Option<(Standing, Duration)>, Failure> {
    let row = sqlx::query!(
        r#"select standing, greatest(extract(epoch from now() - recorded_at), 0)::float8 as "age?" from scaling"#
    )
    .fetch_one(&ledger.pool)
    .await?;
    let (Some(stored), Some(age)) = (row.standing, row.age) else { return Ok(None) };
    let standing =
        serde_json::from_value(stored).map_err(|error| Failure::corrupt(format_args!("scaling: {error}")))?;
    Ok(Some((standing, Duration::try_from_secs_f64(age).unwrap_or(Duration::MAX))))
}

async fn record(ledger: &Ledger, epoch: Epoch, standing: &Standing) -> Result<Guarded, Failure> {
    let mut connection = ledger.connection().await?;
    let written = sqlx::query!(
        "update scaling set standing = $2, recorded_at = now() where epoch = $1",
        epoch.0,
        Json(standing) as Json<&Standing>,
    )
    .execute(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(if written.rows_affected() == 0 { Guarded::StaleEpoch } else { Guarded::Done })
}
