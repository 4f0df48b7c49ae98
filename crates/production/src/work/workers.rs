//! Workers: one leased row for each incarnation, whatever it holds. A row that is dead never lives again.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::{integer, natural, seconds};
use domain::ids::{GenerationId, WorkerId};
use domain::lease::{Fence, Held};
use domain::ports::work::{Load, NewWorker, Renewal, WorkerView};
use sqlx::PgConnection;

/// Cancels that one renewal tells; the next tells the rest.
const CLOSING_TOLD: i64 = 1_000;
const LISTED_MOST: i64 = 1_000;

pub(super) async fn register(ledger: &Ledger, worker: &NewWorker) -> Result<(), Failure> {
    let mut connection = ledger.lease_connection().await?;
    sqlx::query!(
        "insert into workers (id, name, version, slots, expires_at) values ($1, $2, $3, $4, now() + make_interval(secs => $5))
         on conflict (id) do nothing",
        worker.id.uuid(),
        worker.name,
        worker.version,
        integer(worker.slots),
        seconds(worker.lease),
    )
    .execute(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(())
}

/// One statement on a connection of its own. A lease that has run out and that nobody has noticed yet may still be renewed: nothing was taken.
pub(super) async fn renew(
    ledger: &Ledger,
    worker: WorkerId,
    lease: std::time::Duration,
    load: Load,
) -> Result<Renewal, Failure> {
    let mut connection = ledger.lease_connection().await?;
    let row = sqlx::query!(
        r#"with renewed as (
               update workers
               set expires_at = now() + make_interval(secs => $2), renewed_at = now(), active = $3, rendering = $4, draining = $5,
                   cpu = $7
               where id = $1 and state = 'alive'
               returning drain_asked
           ), closing as (
               select generation_id, fence from work where owner = $1 and state = 'closing' limit $6
           )
           select drain_asked, array(select generation_id from closing) as "ids!", array(select fence from closing) as "fences!"
           from renewed"#,
        worker.uuid(),
        seconds(lease),
        integer(load.active),
        integer(load.rendering),
        load.draining,
        CLOSING_TOLD,
        load.cpu,
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    let Some(row) = row else { return Ok(Renewal::Lost) };
    let closing = row
        .ids
        .into_iter()
        .zip(row.fences)
        .map(|(id, fence)| Held { id: GenerationId::from_uuid(id), fence: Fence(fence) })
        .collect();
    Ok(Renewal::Renewed { drain: row.drain_asked, closing })
}

pub(super) async fn retire(ledger: &Ledger, worker: WorkerId) -> Result<(), Failure> {
    let mut connection = ledger.lease_connection().await?;
    sqlx::query!("update workers set state = 'dead' where id = $1 and state = 'alive'", worker.uuid())
        .execute(&mut *connection)
        .await
        .map_err(Failure::unconfirmed)?;
    Ok(())
}

pub(super) async fn list(ledger: &Ledger) -> Result<Vec<WorkerView>, Failure> {
    let rows = sqlx::query!(
        r#"select id, name, version, slots, active, rendering, draining or drain_asked as "draining!", cpu, started_at, renewed_at
           from workers where state = 'alive' and expires_at > now() order by started_at, id limit $1"#,
        LISTED_MOST
    )
    .fetch_all(&ledger.pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| WorkerView {
            id: WorkerId::from_uuid(row.id),
            name: row.name,
            version: row.version,
            slots: natural(row.slots),
            active: natural(row.active),
            rendering: natural(row.rendering),
            draining: row.draining,
            cpu: row.cpu,
            started_at: row.started_at,
            renewed_at: row.renewed_at,
        })
        .collect())
}

pub(crate) async fn ask_to_drain(connection: &mut PgConnection, worker: WorkerId) -> Result<bool, Failure> {
    let asked = sqlx::query!(
        "update workers set drain_asked = true where id = $1 and state = 'alive' and expires_at > now()",
        worker.uuid()
    )
    .execute(connection)
    .await?;
    Ok(asked.rows_affected() > 0)
}
