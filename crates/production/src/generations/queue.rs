//! The queue in numbers, the backlog that bounds submissions, and the pause switch.

use crate::failure::Failure;
use crate::ledger::{Ledger, inside};
use crate::rows::{natural_64, word};
use domain::ids::AccountId;
use domain::ports::generations::{Backlog, QueueStats};
use domain::tier::Tier;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Up to here the whole backlog is counted anew each time. Small: it is asked for with each account's own, once a second.
const COUNTED_EXACTLY: i64 = 256;
/// Beyond it a count may be this old, or so many times as old as it took: however much waits, counting is a small part of the time.
const COUNT_KEPT: Duration = Duration::from_secs(1);
const COUNT_KEPT_TIMES: u32 = 20;
/// Whoever counts has given up by then.
const COUNTED_WITHIN: Duration = Duration::from_secs(5);

/// The whole backlog as it was last counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    at: Instant,
    took: Duration,
    total: u64,
    /// Since when somebody is counting anew, who may have given up; meanwhile this one has to do.
    anew: Option<Instant>,
}

impl Counted {
    fn will_do(&self) -> bool {
        self.at.elapsed() < COUNT_KEPT.max(self.took * COUNT_KEPT_TIMES)
            || self.anew.is_some_and(|since| since.elapsed() < COUNTED_WITHIN)
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
    {
        let mut kept = inside(&ledger.backlog);
        if let Some(counted) = kept.as_mut() {
            if counted.will_do() {
                return Ok(counted.total);
            }
            counted.anew = Some(Instant::now());
        }
    }
    let began = Instant::now();
    let counted = sqlx::query_scalar!(r#"select count(*) as "total!" from work where state in ('ready', 'backoff')"#)
        .fetch_one(&ledger.pool)
        .await;
    let mut kept = inside(&ledger.backlog);
    match counted {
        Ok(total) => {
            let total = natural_64(total);
            *kept = Some(Counted { at: Instant::now(), took: began.elapsed(), total, anew: None });
            Ok(total)
        }
        Err(error) => {
            *kept = None;
            Err(error.into())
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
