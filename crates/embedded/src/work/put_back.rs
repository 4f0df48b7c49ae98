//! Work that is put back: due at once or later, its turn kept, its render forgotten.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::{later, number};
use crate::work::history;
use crate::work::live::owned;
use domain::Timestamp;
use domain::event::Change;
use domain::ids::WorkerId;
use domain::ports::work::{Applied, PutBack};
use domain::state::{Happening, Next, WorkState};
use sqlx::sqlite::SqliteConnection;

pub(super) async fn put_back(ledger: &Ledger, worker: WorkerId, items: &[PutBack]) -> Outcome<Vec<Applied>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let (mut transaction, now) = ledger.write().await?;
    let mut outcomes = Vec::with_capacity(items.len());
    for item in items {
        outcomes.push(apply(&mut transaction, now, worker, item).await?);
    }
    commit(transaction).await?;
    Ok(outcomes)
}

async fn apply(
    connection: &mut SqliteConnection,
    now: Timestamp,
    worker: WorkerId,
    item: &PutBack,
) -> Outcome<Applied> {
    let happening = Happening::PutBack { due: item.after.is_zero() };
    let (live, next) = match owned(connection, worker, item.held, happening).await? {
        Ok(owned) => owned,
        Err(late) => return Ok(late),
    };
    let state = match next {
        Next::State(state) => state.name(),
        Next::Gone => WorkState::Ready.name(),
    };
    let outcome = if item.uses_attempt { "retried" } else { "returned" };
    history::record(connection, now, &live, outcome, item.error.as_deref()).await?;
    let (id, run_after, version) = (live.id.uuid(), later(now, item.after), i64::from(live.version) + 1);
    let attempts = live.attempts.saturating_sub(u32::from(!item.uses_attempt));
    let in_doubt = item.in_doubt.map(|token| token.uuid());
    // What was not tried leaves an older doubt as it was.
    sqlx::query!(
        "update work set state = ?, run_after = ?, attempts = ?, version = ?, owner = null, lease_id = null,
            token_id = null, upstream_id = null, claimed_at = null, rendering_at = null, rendering_version = null,
            in_doubt = coalesce(?, case when ? then null else in_doubt end)
        where generation_id = ?",
        state,
        run_after,
        attempts,
        version,
        in_doubt,
        item.uses_attempt,
        id
    )
    .execute(connection)
    .await?;
    let change = Change { id: live.id, account_id: live.account_id, version: number(version)?, progress: None };
    Ok(Applied::Applied(change))
}
