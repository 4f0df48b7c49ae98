//! Workers: their incarnations and the one lease that each holds for all that it does.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::{later, micros, moment, number};
use domain::Timestamp;
use domain::ids::{GenerationId, WorkerId};
use domain::lease::{Fence, Held};
use domain::ports::work::{Load, NewWorker, Renewal, WorkerView};
use sqlx::sqlite::SqliteConnection;
use std::time::Duration;
use uuid::Uuid;

pub(super) async fn register(ledger: &Ledger, worker: NewWorker) -> Outcome<()> {
    let (mut transaction, now) = ledger.write().await?;
    let (id, expires_at, now) = (worker.id.uuid(), later(now, worker.lease), micros(now));
    sqlx::query!(
        "insert into workers (id, name, version, slots, started_at, renewed_at, expires_at)
        values (?1, ?2, ?3, ?4, ?5, ?5, ?6)",
        id,
        worker.name,
        worker.version,
        worker.slots,
        now,
        expires_at
    )
    .execute(&mut *transaction)
    .await?;
    commit(transaction).await
}

/// A lease that is over may still be renewed while nobody has found its worker dead: then nothing has been taken from it.
pub(super) async fn renew(ledger: &Ledger, worker: WorkerId, lease: Duration, load: Load) -> Outcome<Renewal> {
    let (mut transaction, now) = ledger.write().await?;
    let (id, expires_at, now) = (worker.uuid(), later(now, lease), micros(now));
    let renewed = sqlx::query!(
        r#"update workers set renewed_at = ?, expires_at = ?, active = ?, rendering = ?, draining = ?, cpu = ?
        where id = ? and state = 'alive' returning drain_asked as "drain: bool""#,
        now,
        expires_at,
        load.active,
        load.rendering,
        load.draining,
        load.cpu,
        id
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(renewed) = renewed else { return Ok(Renewal::Lost) };
    let closing = sqlx::query!(
        r#"select generation_id as "id: Uuid", fence from work where owner = ? and state = 'closing'"#,
        id
    )
    .fetch_all(&mut *transaction)
    .await?;
    commit(transaction).await?;
    let closing =
        closing.into_iter().map(|row| Held { id: GenerationId::from_uuid(row.id), fence: Fence(row.fence) }).collect();
    Ok(Renewal::Renewed { drain: renewed.drain, closing })
}

pub(super) async fn retire(ledger: &Ledger, worker: WorkerId) -> Outcome<()> {
    let (mut transaction, _) = ledger.write().await?;
    let id = worker.uuid();
    sqlx::query!("update workers set state = 'dead' where id = ? and state = 'alive'", id)
        .execute(&mut *transaction)
        .await?;
    commit(transaction).await
}

pub(super) async fn list(ledger: &Ledger) -> Outcome<Vec<WorkerView>> {
    let now = micros(ledger.clock.now());
    let rows = sqlx::query!(
        r#"select id as "id: Uuid", name, version, slots, active, rendering, draining as "draining: bool", cpu, started_at, renewed_at
        from workers where state = 'alive' and expires_at > ? order by id"#,
        now
    )
    .fetch_all(ledger.read())
    .await?;
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        views.push(WorkerView {
            id: WorkerId::from_uuid(row.id),
            name: row.name,
            version: row.version,
            slots: number(row.slots)?,
            active: number(row.active)?,
            rendering: number(row.rendering)?,
            draining: row.draining,
            cpu: row.cpu,
            started_at: moment(row.started_at)?,
            renewed_at: moment(row.renewed_at)?,
        });
    }
    Ok(views)
}

pub(crate) async fn ask_to_drain(connection: &mut SqliteConnection, now: Timestamp, worker: WorkerId) -> Outcome<bool> {
    let (id, now) = (worker.uuid(), micros(now));
    let asked =
        sqlx::query!("update workers set drain_asked = 1 where id = ? and state = 'alive' and expires_at > ?", id, now)
            .execute(connection)
            .await?;
    Ok(asked.rows_affected() > 0)
}
