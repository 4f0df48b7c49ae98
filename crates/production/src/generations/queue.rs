//! The queue in numbers, the backlog that bounds submissions, and the pause switch.

use crate::failure::Failure;
use crate::ledger::{Ledger, inside};
use crate::rows::{natural_64, word};
use domain::ids::AccountId;
use domain::ports::generations::{Backlog, QueueStats};
use domain::tier::Tier;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Up to here the whole backlog is counted anew each time. Small: it is asked for with each account's own, once a second.
const COUNTED_EXACTLY: i64 = 256;
/// Beyond it a count may be this old, or so many times as old as it took: however much waits, counting is a small part of the time.
const COUNT_KEPT: Duration = Duration::from_secs(1);
const COUNT_KEPT_TIMES: u32 = 20;
/// A count that fails, or that takes longer than a submission waits, leaves the one before in force, up to this age.
const COUNT_STANDS_IN_FOR: Duration = Duration::from_secs(60);
const COUNTED_WITHIN: Duration = Duration::from_millis(1_500);

/// The whole backlog as it was last counted, and who counts it anew: one at a time.
#[derive(Debug)]
pub(crate) struct Counted {
    last: Option<Count>,
    /// When counting failed since, if it did.
    failed: Option<Instant>,
    turn: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    at: Instant,
    took: Duration,
    total: u64,
}

impl Default for Counted {
    fn default() -> Self {
        Self { last: None, failed: None, turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Counted {
    /// What does without counting anew.
    fn fresh(&self) -> Option<u64> {
        let failed = self.failed.is_some_and(|at| at.elapsed() < COUNT_KEPT);
        let last = self.last.filter(|last| failed || last.at.elapsed() < COUNT_KEPT.max(last.took * COUNT_KEPT_TIMES));
        last.filter(Count::stands_in).map(|last| last.total)
    }

    /// What does while another one counts, or where counting failed.
    fn old(&self) -> Option<u64> {
        self.last.filter(Count::stands_in).map(|last| last.total)
    }
}

impl Count {
    fn stands_in(&self) -> bool {
        self.at.elapsed() < COUNT_STANDS_IN_FOR.max(self.took * COUNT_KEPT_TIMES)
    }
}

pub(super) async fn backlog(ledger: &Ledger, account_id: AccountId) -> Result<Backlog, Failure> {
    let row = sqlx::query!(
        r#"select (select count(*) from work where account_id = $1 and state in ('ready', 'backoff')) as "account!",
                  (select count(*) from (select 1 from work where state in ('ready', 'backoff') limit $2) first) as "some!""#,
        account_id.uuid(),
        COUNTED_EXACTLY,
    )
    .fetch_one(&ledger.pool)
    .await?;
    let account = natural_64(row.account);
    if row.some < COUNTED_EXACTLY {
        return Ok(Backlog { account, total: natural_64(row.some) });
    }
    Ok(Backlog { account, total: total(ledger).await? })
}

async fn total(ledger: &Ledger) -> Result<u64, Failure> {
    let (turn, old) = {
        let counted = inside(&ledger.backlog);
        if let Some(total) = counted.fresh() {
            return Ok(total);
        }
        (counted.turn.clone(), counted.old())
    };
    let _turn = match (turn.clone().try_acquire_owned(), old) {
        (Ok(turn), _) => turn,
        (Err(_), Some(total)) => return Ok(total),
        // Nothing is known yet: whoever counts is waited for, and most often it has counted for this one too.
        (Err(_), None) => turn.acquire_owned().await.map_err(|_| Failure::corrupt("nobody counts any more"))?,
    };
    if let Some(total) = inside(&ledger.backlog).fresh() {
        return Ok(total);
    }
    let began = Instant::now();
    let counting = sqlx::query_scalar!(r#"select count(*) as "total!" from work where state in ('ready', 'backoff')"#)
        .fetch_one(&ledger.pool);
    let counted = match old {
        None => counting.await.map_err(Failure::from),
        Some(_) => match timeout(COUNTED_WITHIN, counting).await {
            Ok(counted) => counted.map_err(Failure::from),
            Err(_) => Err(Failure::Unavailable("the backlog was not counted in time".to_owned())),
        },
    };
    let mut known = inside(&ledger.backlog);
    match counted {
        Ok(total) => {
            let total = natural_64(total);
            known.last = Some(Count { at: Instant::now(), took: began.elapsed(), total });
            known.failed = None;
            Ok(total)
        }
        Err(error) => {
            known.failed = Some(Instant::now());
            known.old().ok_or(error)
        }
    }
}

pub(super) async fn stats(ledger: &Ledger) -> Result<QueueStats, Failure> {
    let row = sqlx::query!(
        r#"select s.paused, waiting.tier as "tier!", waiting.count as "count!",
                  greatest(extract(epoch from now() - waiting.oldest), 0)::float8 as "oldest?",
                  held.active as "active!", held.rendering as "rendering!", ended.finished as "finished!", ended.failed as "failed!",
                  ended.waits as "waits?", ended.upstream as "upstream?"
           from scheduler s
           cross join (
               select coalesce(array_agg(tier), '{}') as tier, coalesce(array_agg(count), '{}') as count, min(oldest) as oldest
               from (select tier, count(*) as count, min(created_at) as oldest
                     from work where state in ('ready', 'backoff') group by tier) by_tier) waiting
           cross join (
               select count(*) filter (where state = 'submitting') as active, count(*) filter (where state = 'rendering') as rendering
               from work where owner is not null) held
           cross join (
               select count(*) as finished, count(*) filter (where outcome = 'failed') as failed,
                      percentile_cont(array[0.5, 0.95, 0.99]) within group (order by waited_seconds) as waits,
                      percentile_cont(array[0.5, 0.95, 0.99]) within group (order by extract(epoch from ended_at - started_at)::float8)
                          filter (where outcome = 'succeeded') as upstream
               from attempts where outcome in ('succeeded', 'failed', 'canceled') and ended_at > now() - interval '5 minutes') ended
           where s.one"#
    )
    .fetch_one(&ledger.pool)
    .await?;
    let mut waiting_by_tier = BTreeMap::new();
    for (tier, count) in row.tier.iter().zip(&row.count) {
        waiting_by_tier.insert(word(Tier::parse, tier, "tier")?, natural_64(*count));
    }
    let three = |found: Option<Vec<f64>>| found.and_then(|found| <[f64; 3]>::try_from(found).ok()).unwrap_or_default();
    let (wait_seconds, upstream_seconds) = (three(row.waits), three(row.upstream));
    Ok(QueueStats {
        waiting: waiting_by_tier.values().sum(),
        active: natural_64(row.active),
        rendering: natural_64(row.rendering),
        waiting_by_tier,
        oldest_waiting_seconds: row.oldest.unwrap_or_default(),
        paused: row.paused,
        finished: natural_64(row.finished),
        failed: natural_64(row.failed),
        wait_seconds,
        upstream_seconds,
    })
}

pub(crate) async fn pause(connection: &mut PgConnection, paused: bool) -> Result<(), Failure> {
    sqlx::query!("update scheduler set paused = $1 where paused <> $1", paused).execute(connection).await?;
    Ok(())
}
