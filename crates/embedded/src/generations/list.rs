//! A page of generations, newest first, of one account or of all, narrowed by what operators and customers ask for.

use crate::Ledger;
use crate::generations::seen::seen;
use crate::generations::show::account;
use crate::outcome::Outcome;
use crate::stored::micros;
use domain::generation::{ErrorCode, Generation};
use domain::page::{Page, PageRequest};
use domain::ports::generations::{GenerationFilter, LOOKED_AT_MOST, Scope};
use domain::state::{Status, WorkState, seen_as};
use domain::tier::Tier;
use uuid::Uuid;

/// What the filter's words are in the tables' words.
struct Wanted {
    status: Option<&'static str>,
    /// One or two states of live work; `None`: all.
    states: Option<[&'static str; 2]>,
}

/// `None`: nothing can be both.
fn wanted(filter: &GenerationFilter) -> Option<Wanted> {
    let ended = filter.status.filter(|status| status.is_final());
    if filter.stage.is_none() && (ended.is_some() || filter.status.is_none()) {
        return Some(Wanted { status: ended.map(Status::name), states: None });
    }
    let states: Vec<_> = WorkState::ALL
        .into_iter()
        .filter(|state| {
            seen_as(*state).is_some_and(|(status, stage)| {
                filter.status.is_none_or(|wanted| wanted == status) && filter.stage.is_none_or(|wanted| wanted == stage)
            })
        })
        .map(WorkState::name)
        .collect();
    let (first, last) = (states.first()?, states.last()?);
    Some(Wanted { status: Some("open"), states: Some([first, last]) })
}

pub(super) async fn list(
    ledger: &Ledger,
    scope: Scope,
    filter: &GenerationFilter,
    page: PageRequest,
) -> Outcome<Page<Generation>> {
    let Some(Wanted { status, states }) = wanted(filter) else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let (oldest, below) = filter.ids(page);
    let (below, limit) = (below.as_bytes().to_vec(), i64::from(page.limit) + 1);
    let (one, two) = (states.map(|states| states[0]), states.map(|states| states[1]));
    let (tier, code) = (filter.tier.map(Tier::name), filter.error_code.map(ErrorCode::name));
    let after = filter.created_after.map_or(i64::MIN, micros);
    let before = filter.created_before.map_or(i64::MAX, micros);
    let horizon = if filter.narrows() { horizon(ledger, scope, oldest, &below).await? } else { None };
    let above = horizon.unwrap_or(oldest).as_bytes().to_vec();
    let pattern = filter.pattern();
    // Twice the same rest, so that an account's page reads the account's own index.
    let rows = match account(scope) {
        None => {
            seen!(
                "where g.id < ?1 and (?3 is null or g.status = ?3) and (?4 is null or w.state in (?4, ?5))
                    and (?6 is null or g.tier = ?6) and (?7 is null or g.error_code = ?7)
                    and g.created_at > ?8 and g.created_at < ?9 and g.id > ?10
                    and (?11 is null or g.request->>'prompt' like ?11 escape '\\' or g.request->>'title' like ?11 escape '\\'
                        or g.request->>'metadata' like ?11 escape '\\')
                order by g.id desc limit ?2",
                below,
                limit,
                status,
                one,
                two,
                tier,
                code,
                after,
                before,
                above,
                pattern
            )
            .fetch_all(ledger.read())
            .await?
        }
        Some(account) => {
            seen!(
                "where g.account_id = ?12 and g.id < ?1 and (?3 is null or g.status = ?3)
                    and (?4 is null or w.state in (?4, ?5))
                    and (?6 is null or g.tier = ?6) and (?7 is null or g.error_code = ?7)
                    and g.created_at > ?8 and g.created_at < ?9 and g.id > ?10
                    and (?11 is null or g.request->>'prompt' like ?11 escape '\\' or g.request->>'title' like ?11 escape '\\'
                        or g.request->>'metadata' like ?11 escape '\\')
                order by g.id desc limit ?2",
                below,
                limit,
                status,
                one,
                two,
                tier,
                code,
                after,
                before,
                above,
                pattern,
                account
            )
            .fetch_all(ledger.read())
            .await?
        }
    };
    let now = ledger.clock.now();
    let generations = rows.into_iter().map(|row| row.generation(now)).collect::<Outcome<Vec<_>>>()?;
    let page = Page::from_rows(generations, page.limit, |generation| generation.id.uuid());
    // What was not looked at begins with the row at the horizon, and a page goes on below an id.
    let rest = horizon.map(|id| Uuid::from_u128(id.as_u128() + 1));
    Ok(Page { next: page.next.or(rest), ..page })
}

/// The first row that a page does not look at any more; `None` when it sees to the end.
async fn horizon(ledger: &Ledger, scope: Scope, above: Uuid, below: &[u8]) -> Outcome<Option<Uuid>> {
    let looked_at = i64::from(LOOKED_AT_MOST);
    let id = match account(scope) {
        None => {
            sqlx::query_scalar!(
                r#"select id as "id!: Uuid" from generations where id > ? and id < ? order by id desc limit 1 offset ?"#,
                above,
                below,
                looked_at
            )
            .fetch_optional(ledger.read())
            .await?
        }
        Some(account) => {
            sqlx::query_scalar!(
                r#"select id as "id!: Uuid" from generations where account_id = ? and id > ? and id < ? order by id desc limit 1 offset ?"#,
                account,
                above,
                below,
                looked_at
            )
            .fetch_optional(ledger.read())
            .await?
        }
    };
    Ok(id)
}
