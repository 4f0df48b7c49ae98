//! The claim: the fairest due generations, one a lease at most, for a live worker that is not draining.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::{from_json, micros, moment, number, word};
use domain::admission::Tag;
use domain::ids::{AccountId, GenerationId, TokenId, WorkerId};
use domain::lease::{Fence, Held, LeaseRef};
use domain::ports::work::Claimed;
use domain::tier::Tier;
use uuid::Uuid;

/// The newest form of work that this build knows.
const FORMAT: i64 = 1;

pub(super) async fn claim(ledger: &Ledger, worker: WorkerId, leases: &[LeaseRef]) -> Outcome<Vec<Claimed>> {
    // Asked every second by an idle worker: the writer is taken only where there is something to claim.
    if leases.is_empty() || !anything_waits(ledger).await? {
        return Ok(Vec::new());
    }
    let (mut transaction, now) = ledger.write().await?;
    let (owner, now, most) = (worker.uuid(), micros(now), i64::try_from(leases.len()).unwrap_or(i64::MAX));
    let may = sqlx::query_scalar!(
        r#"select 1 as "one!: i64" from workers, scheduler
        where id = ? and state = 'alive' and expires_at > ? and not draining and not paused"#,
        owner,
        now
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if may.is_none() {
        return Ok(Vec::new());
    }
    let due = sqlx::query!(
        r#"select w.generation_id as "id!: Uuid", w.account_id as "account_id!: Uuid", w.tier, w.tag, w.fence, w.version, w.attempts,
            w.crashes, w.in_doubt as "in_doubt: Uuid", w.created_at, w.deadline, g.request as "request!", g.trace as "trace?"
        from work w cross join generations g on g.id = w.generation_id
        where w.state = 'ready' and w.format <= ? and w.deadline > ?
        order by w.tag, w.generation_id limit ?"#,
        FORMAT,
        now,
        most
    )
    .fetch_all(&mut *transaction)
    .await?;
    let mut claimed = Vec::with_capacity(due.len());
    for (row, lease) in due.into_iter().zip(leases) {
        let (lease_id, token_id) = (lease.lease_id.uuid(), lease.token_id.uuid());
        sqlx::query!(
            "update work set state = 'submitting', owner = ?1, lease_id = ?2, token_id = ?3, fence = fence + 1,
                attempts = attempts + 1, version = version + 1, claimed_at = ?4, started_at = coalesce(started_at, ?4),
                started_version = coalesce(started_version, version + 1)
            where generation_id = ?5",
            owner,
            lease_id,
            token_id,
            now,
            row.id
        )
        .execute(&mut *transaction)
        .await?;
        claimed.push(Claimed {
            held: Held { id: GenerationId::from_uuid(row.id), fence: Fence(row.fence + 1) },
            account_id: AccountId::from_uuid(row.account_id),
            tier: word(Tier::parse, &row.tier)?,
            version: number(row.version + 1)?,
            tag: Tag(row.tag),
            lease: *lease,
            request: from_json(&row.request)?,
            attempts: number(row.attempts + 1)?,
            crashes: number(row.crashes)?,
            in_doubt: row.in_doubt.map(TokenId::from_uuid),
            created_at: moment(row.created_at)?,
            deadline: moment(row.deadline)?,
            trace: row.trace,
        });
    }
    commit(transaction).await?;
    Ok(claimed)
}

async fn anything_waits(ledger: &Ledger) -> Outcome<bool> {
    let any = sqlx::query_scalar!(r#"select 1 as "one!: i64" from work where state = 'ready' limit 1"#)
        .fetch_optional(ledger.read())
        .await?;
    Ok(any.is_some())
}
