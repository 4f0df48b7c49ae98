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

/// Up to here the whole backlog is counted anew each time; beyond it a count may be [`COUNT_KEPT`] old.
const COUNTED_EXACTLY: i64 = 10_000;
const COUNT_KEPT: Duration = Duration::from_secs(1);

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
    let kept = *inside(&ledger.backlog);
    let total = match kept {
        Some((counted, total)) if counted.elapsed() < COUNT_KEPT => total,
        _ => {
            let total =
                sqlx::query_scalar!(r#"select count(*) as "total!" from work where state in ('ready', 'backoff')"#)
                    .fetch_one(&ledger.pool)
                    .await?;
            let total = natural_64(total);
            *inside(&ledger.backlog) = Some((Instant::now(), total));
            total
        }
    };
    Ok(Backlog { account, total })
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
               from attempts where outcome in ('succeeded', 'failed', 'canceled') and ended_at > now() - interval '5 minutes') ended"#
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
