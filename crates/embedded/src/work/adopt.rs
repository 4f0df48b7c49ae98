//! Adoption: the renders and closings of dead workers get a new owner and a new fence. Token and upstream id stay.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::{Outcome, Unwell};
use crate::stored::{from_json, micros, moment, perhaps};
use crate::work::history;
use crate::work::live::{Live, LiveRow, is_alive, live};
use domain::Timestamp;
use domain::ids::WorkerId;
use domain::lease::{Fence, Held};
use domain::ports::work::Adopted;
use domain::request::GenerationRequest;
use domain::state::WorkState;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

/// Rows a step of adoption takes at most, whoever asks for more.
const MOST: u16 = 500;

pub(super) async fn adopt(ledger: &Ledger, worker: WorkerId, limit: u16) -> Outcome<Vec<Adopted>> {
    // Asked again and again, and nearly always in vain: the writer is taken only where there is an orphan.
    if limit == 0 || !anything_is_orphaned(ledger).await? {
        return Ok(Vec::new());
    }
    let (mut transaction, now) = ledger.write().await?;
    if !is_alive(&mut transaction, worker, micros(now)).await? {
        return Ok(Vec::new());
    }
    let most = i64::from(limit.min(MOST));
    let rows = live!(
        "where owner in (select id from workers where state = 'dead') and state in ('rendering', 'closing')
        limit ?",
        most
    )
    .fetch_all(&mut *transaction)
    .await?;
    let mut adopted = Vec::with_capacity(rows.len());
    for live in rows.into_iter().map(LiveRow::live) {
        adopted.push(take(&mut transaction, now, worker, &live?).await?);
    }
    commit(transaction).await?;
    Ok(adopted)
}

/// These of its own, of which it does not know.
pub(super) async fn resume(ledger: &Ledger, worker: WorkerId, held: &[Held]) -> Outcome<Vec<Adopted>> {
    let (mut transaction, now) = ledger.write().await?;
    let mut adopted = Vec::with_capacity(held.len());
    for held in held {
        let (id, fence, owner) = (held.id.uuid(), held.fence.0, worker.uuid());
        let row = live!(
            "where generation_id = ? and fence = ? and owner = ? and state in ('rendering', 'closing')",
            id,
            fence,
            owner
        )
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(row) = row {
            adopted.push(take(&mut transaction, now, worker, &row.live()?).await?);
        }
    }
    commit(transaction).await?;
    Ok(adopted)
}

async fn anything_is_orphaned(ledger: &Ledger) -> Outcome<bool> {
    let any = sqlx::query_scalar!(
        r#"select 1 as "one!: i64" from workers d cross join work w on w.owner = d.id
        where d.state = 'dead' and w.state in ('rendering', 'closing') limit 1"#
    )
    .fetch_optional(ledger.read())
    .await?;
    Ok(any.is_some())
}

async fn take(connection: &mut SqliteConnection, now: Timestamp, worker: WorkerId, live: &Live) -> Outcome<Adopted> {
    if live.state == WorkState::Rendering {
        history::record(connection, now, live, "adopted", None).await?;
    }
    let (id, owner, claimed_at) = (live.id.uuid(), worker.uuid(), micros(now));
    sqlx::query!(
        "update work set owner = ?, fence = fence + 1, claimed_at = ? where generation_id = ?",
        owner,
        claimed_at,
        id
    )
    .execute(&mut *connection)
    .await?;
    let record = sqlx::query!("select request, trace from generations where id = ?", id)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| Unwell::corrupt("live work without its generation"))?;
    let request: GenerationRequest = from_json(&record.request)?;
    Ok(Adopted {
        held: Held { id: live.id, fence: Fence(live.fence + 1) },
        account_id: live.account_id,
        tier: live.tier,
        state: live.state,
        lease: live.lease.ok_or_else(|| Unwell::corrupt("owned work without a lease"))?,
        upstream_id: live.upstream_id.clone(),
        attempts: live.attempts,
        rendering_at: perhaps(live.rendering_at)?,
        deadline: moment(live.deadline)?,
        duration_seconds: request.duration_seconds,
        trace: record.trace,
    })
}
