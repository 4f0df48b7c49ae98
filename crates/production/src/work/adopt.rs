//! Adoption: renders and closings of dead workers get a living owner and a new fence, and so do those of its own that a living one does not know
//! of. Whatever comes with the old fence is stale.

use super::fenced;
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::{natural, word};
use domain::ids::{AccountId, GenerationId, LeaseId, TokenId, WorkerId};
use domain::lease::{Fence, Held, LeaseRef};
use domain::ports::work::Adopted;
use domain::state::WorkState;
use domain::tier::Tier;

/// Rows one step may take, whatever is asked.
const STEP: i64 = 500;

/// What dead workers left, up to a limit, and these of its own.
pub(super) async fn adopt(
    ledger: &Ledger,
    worker: WorkerId,
    limit: u16,
    own: &[Held],
) -> Result<Vec<Adopted>, Failure> {
    let (ids, fences) = fenced(own.iter());
    let mut connection = ledger.connection().await?;
    let rows = sqlx::query!(
        r#"with left_behind as materialized (
               (select w.* from workers d
                cross join lateral (
                    select * from work where owner = d.id and state in ('rendering', 'closing') limit $2 for update skip locked) w
                where d.state = 'dead'
                  and exists (select from workers me where me.id = $1 and me.state = 'alive' and me.expires_at > now() and not me.draining)
                limit $2)
               union all
               (select w.* from (select * from unnest($3::uuid[], $4::bigint[]) as a (id, fence) order by id limit cardinality($3::uuid[])) a
                cross join lateral (
                    select * from work
                    where generation_id = a.id and fence = a.fence and owner is not distinct from $1 and state in ('rendering', 'closing')
                    limit 1 for update) w)
           ), history as (
               insert into attempts (generation_id, fence, tier, worker_id, token_id, upstream_id, outcome, error, started_at)
               select generation_id, fence, tier, owner, token_id, upstream_id, 'adopted',
                      case when owner = $1 then 'The worker did not know of it.' else 'The worker died.' end, claimed_at
               from left_behind
               on conflict do nothing
           )
           update work w set owner = $1, fence = w.fence + 1
           from left_behind l
           cross join lateral (select request, trace from generations where id = l.generation_id limit 1) g
           where w.generation_id = l.generation_id
           returning w.generation_id, w.fence, w.account_id, w.tier, w.state, w.lease_id as "lease_id!", w.token_id as "token_id!", w.upstream_id,
                     w.attempts, w.rendering_at, w.deadline, (g.request ->> 'duration_seconds')::int as "duration_seconds!", g.trace"#,
        worker.uuid(),
        i64::from(limit).min(STEP),
        &ids,
        &fences,
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    rows.into_iter()
        .map(|row| {
            Ok(Adopted {
                held: Held { id: GenerationId::from_uuid(row.generation_id), fence: Fence(row.fence) },
                account_id: AccountId::from_uuid(row.account_id),
                tier: word(Tier::parse, &row.tier, "tier")?,
                state: word(WorkState::parse, &row.state, "state")?,
                lease: LeaseRef {
                    lease_id: LeaseId::from_uuid(row.lease_id),
                    token_id: TokenId::from_uuid(row.token_id),
                },
                upstream_id: row.upstream_id,
                attempts: natural(row.attempts),
                rendering_at: row.rendering_at,
                deadline: row.deadline,
                duration_seconds: natural(row.duration_seconds),
                trace: row.trace,
            })
        })
        .collect()
}
