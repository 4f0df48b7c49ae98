//! The upstream accepted: the work is rendering under the upstream's id, and holds no slot. What was canceled meanwhile keeps that id too, so
//! that whoever closes it can tell the upstream.

use super::{Outcome, fenced};
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
    let (ids, fences) = fenced(accepted.iter().map(|item| &item.held));
    let upstream_ids: Vec<_> = accepted.iter().map(|item| item.upstream_id.clone()).collect();
    let lease_ids: Vec<_> = accepted.iter().map(|item| item.lease.lease_id.uuid()).collect();
    let token_ids: Vec<_> = accepted.iter().map(|item| item.lease.token_id.uuid()).collect();
    let mut connection = ledger.connection().await?;
    // The same again, because its first answer was lost, finds the render as it left it and is told so.
    let rows = sqlx::query_as!(
        Outcome,
        r#"with asked as materialized (
               select * from unnest($2::uuid[], $3::bigint[], $4::text[], $5::uuid[], $6::uuid[]) with ordinality
                   as a (generation_id, fence, upstream_id, lease_id, token_id, n)
           ), locked as materialized (
               select w.generation_id, w.account_id, w.state, w.version, w.upstream_id
               from work w join asked a on a.generation_id = w.generation_id and a.fence = w.fence
               where w.owner = $1 order by w.generation_id for update of w
           ), moved as (
               update work w
               set state = case when l.state = 'submitting' then 'rendering' else w.state end,
                   upstream_id = a.upstream_id, lease_id = a.lease_id, token_id = a.token_id, in_doubt = null,
                   rendering_at = case when l.state = 'submitting' then now() else w.rendering_at end,
                   rendering_version = case when l.state = 'submitting' then w.version + 1 else w.rendering_version end,
                   version = case when l.state = 'submitting' then w.version + 1 else w.version end
               from locked l join asked a using (generation_id)
               where w.generation_id = l.generation_id and l.state in ('submitting', 'closing')
               returning w.generation_id, w.account_id, w.version, w.state
           )
           select a.generation_id as "id!", coalesce(l.state = 'closing', false) as "closing!",
                  case when l.state <> 'closing' then coalesce(m.account_id, l.account_id) end as account_id,
                  case when l.state = 'submitting' then m.version
                       when l.state = 'rendering' and l.upstream_id = a.upstream_id then l.version end as version
           from asked a left join locked l using (generation_id) left join moved m using (generation_id)
           order by a.n"#,
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
    Ok(rows.into_iter().map(Applied::from).collect())
}
