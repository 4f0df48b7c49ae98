//! The upstream accepted it: from here the work holds no slot.

use crate::Ledger;
use crate::open::commit;
use crate::outcome::Outcome;
use crate::stored::{micros, number};
use crate::work::live::owned;
use domain::Timestamp;
use domain::event::Change;
use domain::ids::WorkerId;
use domain::ports::work::{Accepted, Applied};
use domain::state::Happening;
use sqlx::sqlite::SqliteConnection;

pub(super) async fn rendering(ledger: &Ledger, worker: WorkerId, accepted: &[Accepted]) -> Outcome<Vec<Applied>> {
    if accepted.is_empty() {
        return Ok(Vec::new());
    }
    let (mut transaction, now) = ledger.write().await?;
    let mut outcomes = Vec::with_capacity(accepted.len());
    for item in accepted {
        outcomes.push(apply(&mut transaction, now, worker, item).await?);
    }
    commit(transaction).await?;
    Ok(outcomes)
}

async fn apply(
    connection: &mut SqliteConnection,
    now: Timestamp,
    worker: WorkerId,
    item: &Accepted,
) -> Outcome<Applied> {
    let (id, now) = (item.held.id.uuid(), micros(now));
    let (lease, token) = (item.lease.lease_id.uuid(), item.lease.token_id.uuid());
    let live = match owned(connection, worker, item.held, Happening::UpstreamAccepted).await? {
        Ok((live, _)) => live,
        Err(Applied::Closing) => {
            // Canceled while the upstream answered: whoever closes it, an adopter too, must know what to cancel there.
            sqlx::query!(
                "update work set upstream_id = ?, lease_id = ?, token_id = ? where generation_id = ?",
                item.upstream_id,
                lease,
                token,
                id
            )
            .execute(connection)
            .await?;
            return Ok(Applied::Closing);
        }
        Err(late) => return Ok(late),
    };
    let version = i64::from(live.version) + 1;
    sqlx::query!(
        "update work set state = 'rendering', upstream_id = ?1, lease_id = ?2, token_id = ?3, in_doubt = null,
            rendering_at = ?4, version = ?5, rendering_version = ?5
        where generation_id = ?6",
        item.upstream_id,
        lease,
        token,
        now,
        version,
        id
    )
    .execute(connection)
    .await?;
    let change = Change { id: live.id, account_id: live.account_id, version: number(version)?, progress: None };
    Ok(Applied::Applied(change))
}
