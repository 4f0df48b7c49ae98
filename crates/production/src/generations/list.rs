//! Pages of generations, newest first. An id begins with its moment, so bounds of time are bounds of the index as well.

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::rows::{all, generations};
use domain::generation::Generation;
use domain::page::{Page, PageRequest};
use domain::ports::generations::{GenerationFilter, LOOKED_AT_MOST, Scope};
use domain::state::{Stage, Status, WorkState, seen_as};
use uuid::Uuid;

/// The states of live work that a customer sees as this; `None` when no live work is asked for.
fn states(status: Option<Status>, stage: Option<Stage>) -> Option<Vec<String>> {
    let asked = stage.is_some() || matches!(status, Some(Status::Queued | Status::Processing));
    asked.then(|| {
        WorkState::ALL
            .into_iter()
            .filter(|state| {
                seen_as(*state).is_some_and(|(seen, step)| {
                    status.is_none_or(|status| status == seen) && stage.is_none_or(|stage| stage == step)
                })
            })
            .map(|state| state.name().to_owned())
            .collect()
    })
}

pub(super) async fn list(
    ledger: &Ledger,
    scope: Scope,
    filter: &GenerationFilter,
    page: PageRequest,
) -> Result<Page<Generation>, Failure> {
    let (above, below) = filter.ids(page);
    let horizon = if filter.narrows() { horizon(ledger, scope, above, below).await? } else { None };
    let above = horizon.unwrap_or(above);
    let pattern = filter.pattern();
    let states = states(filter.status, filter.stage);
    let final_status = filter.status.filter(|status| status.is_final()).map(Status::name);
    let tier = filter.tier.map(domain::tier::Tier::name);
    let error_code = filter.error_code.map(domain::generation::ErrorCode::name);
    let limit = i64::from(page.limit) + 1;
    // Two statements, so that each has the one index that suits it: a condition that may be absent would leave the choice to luck.
    let rows = match scope {
        Scope::Account(account) => {
            generations!(
                "where g.account_id = $1 and g.id > $2 and g.id < $3
                   and ($4::text[] is null or w.state = any($4)) and ($5::text is null or g.status = $5)
                   and ($6::text is null or g.tier = $6) and ($7::text is null or g.error_code = $7)
                   and ($8::timestamptz is null or g.created_at > $8) and ($9::timestamptz is null or g.created_at < $9)
                   and ($10::text is null or g.request->>'prompt' ilike $10 or g.request->>'title' ilike $10
                        or g.request->>'metadata' ilike $10)
                 order by g.id desc limit $11",
                account.uuid(),
                above,
                below,
                states.as_deref(),
                final_status,
                tier,
                error_code,
                filter.created_after,
                filter.created_before,
                pattern.as_deref(),
                limit,
            )
            .fetch_all(&ledger.pool)
            .await?
        }
        Scope::Everyone => {
            generations!(
                "where g.id > $1 and g.id < $2
                   and ($3::text[] is null or w.state = any($3)) and ($4::text is null or g.status = $4)
                   and ($5::text is null or g.tier = $5) and ($6::text is null or g.error_code = $6)
                   and ($7::timestamptz is null or g.created_at > $7) and ($8::timestamptz is null or g.created_at < $8)
                   and ($9::text is null or g.request->>'prompt' ilike $9 or g.request->>'title' ilike $9
                        or g.request->>'metadata' ilike $9)
                 order by g.id desc limit $10",
                above,
                below,
                states.as_deref(),
                final_status,
                tier,
                error_code,
                filter.created_after,
                filter.created_before,
                pattern.as_deref(),
                limit,
            )
            .fetch_all(&ledger.pool)
            .await?
        }
    };
    let page = Page::from_rows(all(rows)?, page.limit, |generation: &Generation| generation.id.uuid());
    // What was not looked at begins with the row at the horizon, and a page goes on below an id.
    let rest = horizon.map(|id| Uuid::from_u128(id.as_u128() + 1));
    Ok(Page { next: page.next.or(rest), ..page })
}

/// The first row that a page does not look at any more; `None` when it sees to the end.
async fn horizon(ledger: &Ledger, scope: Scope, above: Uuid, below: Uuid) -> Result<Option<Uuid>, Failure> {
    let looked_at = i64::from(LOOKED_AT_MOST);
    let id = match scope {
        Scope::Account(account) => {
            sqlx::query_scalar!(
                "select id from generations where account_id = $1 and id > $2 and id < $3 order by id desc offset $4 limit 1",
                account.uuid(),
                above,
                below,
                looked_at,
            )
            .fetch_optional(&ledger.pool)
            .await?
        }
        Scope::Everyone => {
            sqlx::query_scalar!(
                "select id from generations where id > $1 and id < $2 order by id desc offset $3 limit 1",
                above,
                below,
                looked_at,
            )
            .fetch_optional(&ledger.pool)
            .await?
        }
    };
    Ok(id)
}
