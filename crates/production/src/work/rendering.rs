//! The upstream accepted: the work is rendering under the upstream's id, and holds no slot. What was canceled meanwhile keeps that id too, so
//! that whoever closes it can tell the upstream.

use super::{Outcome, applied, fenced, once};
use crate::failure::Failure;
use crate::ledger::Ledger;
use domain::ids::WorkerId;
use domain::ports::work::{Accepted, Applied};

pub(super) async fn rendering(
    ledger: &Ledger,
    worker: WorkerId,
    accepted: &[Accepted],
) -> Result<Vec<Applied>, Failure> {
    if accepted.is_empty() {
        return Ok(Vec::new());
    }
    let (accepted, repeats) = once(accepted, |item| &item.held);
    let (ids, fences) = fenced(accepted.iter().map(|item| &item.held));
    let upstream_ids: Vec<_> = accepted.iter().map(|item| item.upstream_id.clone()).collect();
    let lease_ids: Vec<_> = accepted.iter().map(|item| item.lease.lease_id.uuid()).collect();
    let token_ids: Vec<_> = accepted.iter().map(|item| item.lease.token_id.uuid()).collect();
    let mut connection = ledger.connection().await?;
    let rows = sqlx::query_as!(
        Outcome,
        r#"with asked as materialized (
               select * from unnest($2::uuid[], $3::bigint[], $4::text[], $5::uuid[], $6::uuid[]) with ordinality
                   as a (generation_id, fence, upstream_id, lease_id, token_id, n)
           ), locked as materialized (
               select w.generation_id, w.state, a.n, a.upstream_id, a.lease_id, a.token_id
               from (select * from asked order by generation_id limit cardinality($2::uuid[])) a
               cross join lateral (
                   select * from work w
                   where w.generation_id = a.generation_id and a.fence = w.fence and w.owner is not distinct from $1
                     and w.state in ('submitting', 'closing')
                   limit 1 for update) w
           ), moved as (
               update work w
               set state = 'rendering', upstream_id = l.upstream_id, lease_id = l.lease_id, token_id = l.token_id, in_doubt = null,
                   rendering_at = now(), rendering_version = w.version + 1, version = w.version + 1
               from locked l
               where w.generation_id = l.generation_id and l.state = 'submitting'
               returning l.n, w.account_id, w.version
           ), noted as (
               update work w set upstream_id = l.upstream_id, lease_id = l.lease_id, token_id = l.token_id, in_doubt = null
               from locked l
               where w.generation_id = l.generation_id and l.state = 'closing'
           )
           select n as "n!", false as "closing!", account_id as "account_id?", version as "version?" from moved
           union all
           select n, true, null, null from locked where state = 'closing'"#,
        worker.uuid(),
        &ids,
        &fences,
        &upstream_ids,
        &lease_ids,
        &token_ids,
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(Failure::unconfirmed)?;
    Ok(repeats.spread(&applied(&ids, rows)))
}
