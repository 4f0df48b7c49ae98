//! Work put back: due at once or after a wait, its token free again, its turn kept.

use super::{Outcome, fenced, once};
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
               select w.*, a.n from work w join asked a on a.generation_id = w.generation_id and a.fence = w.fence
               where w.owner is not distinct from $1 order by w.generation_id for update of w
           ), back as (
               update work w
               set state = case when a.wait > 0 then 'backoff' else 'ready' end, run_after = now() + make_interval(secs => a.wait),
                   attempts = greatest(w.attempts - 1 + a.cost, 0), version = w.version + 1,
                   owner = null, lease_id = null, token_id = null, upstream_id = null, claimed_at = null,
                   in_doubt = coalesce(a.doubt, case when a.cost = 0 then w.in_doubt end), rendering_at = null, rendering_version = null
               from locked l join asked a using (n)
               where w.generation_id = l.generation_id and l.state in ('submitting', 'rendering')
               returning a.n, w.account_id, w.version
           ), history as (
               insert into attempts (generation_id, fence, tier, worker_id, token_id, upstream_id, outcome, error, started_at)
               select l.generation_id, l.fence, l.tier, l.owner, l.token_id, l.upstream_id,
                      case when a.error is null then 'returned' else 'retried' end, a.error, l.claimed_at
               from back join locked l using (n) join asked a using (n)
               on conflict do nothing
           )
           select a.generation_id as "id!", coalesce(l.state = 'closing', false) as "closing!", b.account_id as "account_id?", b.version as "version?"
           from asked a left join locked l using (n) left join back b using (n)
           order by a.n"#,
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
    let outcomes: Vec<_> = rows.into_iter().map(Applied::from).collect();
    Ok(repeats.spread(&outcomes))
}
