//! Cancels and deadlines: the record ends and is refunded at once. Waiting work goes; what a worker owns stays, closing, until
//! the upstream has been told.

use crate::Ledger;
use crate::generations::end::{Ending, end};
use crate::generations::show;
use crate::open::commit;
use crate::outcome::{Outcome, Unwell};
use crate::stored::micros;
use crate::work::live::{self, Live, live};
use domain::Timestamp;
use domain::event::Change;
use domain::generation::CanceledBy;
use domain::ids::GenerationId;
use domain::ports::generations::{Canceled, Scope};
use domain::ports::operators::{self, Acted};
use domain::state::{Happening, Next, transition};
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

pub(super) async fn cancel(ledger: &Ledger, scope: Scope, id: GenerationId, by: CanceledBy) -> Outcome<Canceled> {
    let (mut transaction, now) = ledger.write().await?;
    let canceled = canceled(ledger, &mut transaction, now, scope, id, by).await?;
    if let Canceled::Canceled { .. } = &canceled {
        commit(transaction).await?;
    }
    Ok(canceled)
}

/// For an operator, within the transaction of the order.
pub(crate) async fn for_operator(
    ledger: &Ledger,
    connection: &mut SqliteConnection,
    now: Timestamp,
    id: GenerationId,
) -> Outcome<Acted> {
    Ok(match canceled(ledger, connection, now, Scope::Everyone, id, CanceledBy::Operator).await? {
        Canceled::Canceled { generation, tell_workers } => {
            Acted::Done(operators::Outcome::Canceled { generation, tell_workers })
        }
        Canceled::AlreadyFinal(generation) => Acted::AlreadyFinal(generation),
        Canceled::NotFound => Acted::NotFound,
    })
}

async fn canceled(
    ledger: &Ledger,
    connection: &mut SqliteConnection,
    now: Timestamp,
    scope: Scope,
    id: GenerationId,
    by: CanceledBy,
) -> Outcome<Canceled> {
    let Some(generation) = show::find(ledger, connection, scope, id).await? else {
        return Ok(Canceled::NotFound);
    };
    if generation.status.is_final() {
        return Ok(Canceled::AlreadyFinal(Box::new(generation)));
    }
    let live =
        live::of(connection, id).await?.ok_or_else(|| Unwell::corrupt("an open generation without live work"))?;
    let (_, tell_workers) = give_up(connection, now, &live, by).await?;
    let generation = show::find(ledger, connection, scope, id)
        .await?
        .ok_or_else(|| Unwell::corrupt("a canceled generation is not on record"))?;
    Ok(Canceled::Canceled { generation: Box::new(generation), tell_workers })
}

pub(super) async fn expire(ledger: &Ledger, limit: u16) -> Outcome<Vec<(Change, bool)>> {
    let due = micros(ledger.clock.now());
    // Most of the time nothing is: then the writer is left alone.
    let any = sqlx::query_scalar!(
        r#"select 1 as "one!: i64" from work where deadline <= ? and state <> 'closing' limit 1"#,
        due
    )
    .fetch_optional(ledger.read())
    .await?;
    if any.is_none() {
        return Ok(Vec::new());
    }
    let (mut transaction, now) = ledger.write().await?;
    let (due, limit) = (micros(now), i64::from(limit));
    let rows = live!("where deadline <= ? and state <> 'closing' order by deadline limit ?", due, limit)
        .fetch_all(&mut *transaction)
        .await?;
    let mut expired = Vec::with_capacity(rows.len());
    for row in rows {
        expired.push(give_up(&mut transaction, now, &row.live()?, CanceledBy::Deadline).await?);
    }
    commit(transaction).await?;
    Ok(expired)
}

/// Ends the record. Whether a worker owns the work, and must be told, comes with the change.
async fn give_up(
    connection: &mut SqliteConnection,
    now: Timestamp,
    live: &Live,
    by: CanceledBy,
) -> Outcome<(Change, bool)> {
    let id = live.id.uuid();
    let next = transition(live.state, Happening::Canceled)
        .ok_or_else(|| Unwell::corrupt("an open generation whose work is closing"))?;
    // What was never tried, or is between tries, has no fence of its own for the history: the next one is nobody's.
    let untried = Live { fence: live.fence + 1, ..live.clone() };
    let (owned, told) = match next {
        Next::State(state) => {
            let state = state.name();
            sqlx::query!("update work set state = ? where generation_id = ?", state, id)
                .execute(&mut *connection)
                .await?;
            (true, live)
        }
        Next::Gone => {
            sqlx::query!("delete from work where generation_id = ?", id).execute(&mut *connection).await?;
            (false, &untried)
        }
    };
    let change = end(connection, now, told, &Ending::Canceled(&by.error())).await?;
    Ok((change, owned))
}
