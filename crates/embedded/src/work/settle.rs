//! Settling: the record's end, the refund of a failure, the history, and the work row gone, in one transaction.

use crate::Ledger;
use crate::generations::end::{Ending, end};
use crate::open::commit;
use crate::outcome::Outcome;
use crate::work::live::{Live, owned};
use domain::Timestamp;
use domain::ids::WorkerId;
use domain::ports::work::{Applied, Settlement};
use domain::state::Happening;
use sqlx::sqlite::SqliteConnection;

pub(super) async fn settle(ledger: &Ledger, worker: WorkerId, settlements: &[Settlement]) -> Outcome<Vec<Applied>> {
    if settlements.is_empty() {
        return Ok(Vec::new());
    }
    let (mut transaction, now) = ledger.write().await?;
    let mut outcomes = Vec::with_capacity(settlements.len());
    for settlement in settlements {
        outcomes.push(apply(&mut transaction, now, worker, settlement).await?);
    }
    commit(transaction).await?;
    Ok(outcomes)
}

async fn apply(
    connection: &mut SqliteConnection,
    now: Timestamp,
    worker: WorkerId,
    settlement: &Settlement,
) -> Outcome<Applied> {
    let live = match owned(connection, worker, settlement.held, Happening::Finished).await? {
        Ok((live, _)) => live,
        Err(late) => return Ok(late),
    };
    let live = Live { upstream_id: settlement.upstream_id.clone().or(live.upstream_id), ..live };
    let ending = match &settlement.outcome {
        Ok(output) => Ending::Succeeded(output),
        Err(error) => Ending::Failed(error),
    };
    let change = end(connection, now, &live, &ending).await?;
    let id = live.id.uuid();
    sqlx::query!("delete from work where generation_id = ?", id).execute(connection).await?;
    Ok(Applied::Applied(change))
}
