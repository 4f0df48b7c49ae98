//! Work put back: due at once or after a wait, its token free again, its turn kept.

use super::{Outcome, applied, fenced, once};
use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::seconds;
use domain::ids::WorkerId;
use domain::ports::work::{Applied, PutBack};
use uuid::Uuid;

pub(super) async fn put_back(ledger: &Ledger, worker: WorkerId, items: &[PutBack]) -> Result<Vec<Applied>, Failure> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let (items, repeats) = once(items, |item| &item.held);
    let (ids, fences) = fenced(items.iter().map(|item| &item.held));
    let waits: Vec<_> = items.iter().map(|item| seconds(item.after)).collect();
    let costs: Vec<_> = items.iter().map(|item| i32::from(item.uses_attempt)).collect();
    let errors: Vec<_> = items.iter().map(|item| item.error.clone()).collect();
    let doubts: Vec<_> = items.iter().map(|item| item.in_doubt.map(|token| token.uuid())).collect();
    // A try that was made has ended whatever doubt there was, unless its own answer was lost; a return untried leaves it.
    let mut connection = ledger.connection().await?;
    let rows = sqlx::query_as!(
        Outcome,
        r#"with asked as materialized (
               select * from unnest($2::uuid[], $3::bigint[], $4::float8[], $5::int[], $6::text[], $7::uuid[]) with ordinality
                   as a (generation_id, fence, wait, cost, error, doubt, n)
           ), locked as materialized (
               select w.generation_id, w.fence, w.tier, w.owner, w.token_id, w.upstream_id, w.state, w.claimed_at,
                      a.n, a.wait, a.cost, a.error, a.doubt
               from (select * from asked order by generation_id limit cardinality($2::uuid[])) a
               cross join lateral (
                   select * from work w where w.generation_id = a.generation_id and a.fence = w.fence and w.owner is not distinct from $1
                   limit 1 for update) w
           ), back as (
               update work w
               set state = case when l.wait > 0 then 'backoff' else 'ready' end, run_after = now() + make_interval(secs => l.wait),
                   attempts = greatest(w.attempts - 1 + l.cost, 0), version = w.version + 1,
                   owner = null, lease_id = null, token_id = null, upstream_id = null, claimed_at = null,
                   in_doubt = coalesce(l.doubt, case when l.cost = 0 then w.in_doubt end), rendering_at = null, rendering_version = null
               from locked l
               where w.generation_id = l.generation_id and l.state in ('submitting', 'rendering')
               returning l.n, w.account_id, w.version, l.generation_id, l.fence, l.tier, l.owner, l.token_id, l.upstream_id, l.error, l.claimed_at
           ), history as (
               insert into attempts (generation_id, fence, tier, worker_id, token_id, upstream_id, outcome, error, started_at)
               select generation_id, fence, tier, owner, token_id, upstream_id,
                      case when error is null then 'returned' else 'retried' end, error, claimed_at
               from back
               on conflict do nothing
           )
           select n as "n!", false as "closing!", account_id as "account_id?", version as "version?" from back
           union all
           select n, true, null, null from locked where state = 'closing'"#,
        worker.uuid(),
        &ids,
        &fences,
        &waits,
        &costs,
        &errors as &[Option<String>],
        &doubts as &[Option<Uuid>],
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(repeats.spread(&applied(&ids, rows)))
}
