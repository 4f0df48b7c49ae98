//! The queue in numbers, the backlog of an account, and the pause switch.

use crate::Ledger;
use crate::outcome::Outcome;
use crate::stored::{earlier, micros, number, word};
use domain::ids::AccountId;
use domain::ports::generations::{Backlog, QueueStats};
use domain::state::WorkState;
use domain::tier::Tier;
use sqlx::sqlite::SqliteConnection;
use std::time::Duration;

const RECENT: Duration = Duration::from_secs(300);

pub(super) async fn backlog(ledger: &Ledger, account: AccountId) -> Outcome<Backlog> {
    let account = account.uuid();
    let row = sqlx::query!(
        r#"select
            (select count(*) from work where account_id = ? and state in ('ready', 'backoff')) as "account!: i64",
            (select count(*) from work where state in ('ready', 'backoff')) as "total!: i64""#,
        account
    )
    .fetch_one(ledger.read())
    .await?;
    Ok(Backlog { account: number(row.account)?, total: number(row.total)? })
}

pub(super) async fn queue(ledger: &Ledger) -> Outcome<QueueStats> {
    // One snapshot for all the numbers.
    let mut snapshot = ledger.read().begin().await?;
    let now = ledger.clock.now();
    let paused =
        sqlx::query_scalar!(r#"select paused as "paused: bool" from scheduler"#).fetch_one(&mut *snapshot).await?;
    let mut stats = QueueStats { paused, ..QueueStats::default() };
    let rows = sqlx::query!(
        r#"select tier as "tier!", state as "state!", count(*) as "count!: i64", min(created_at) as "oldest!: i64"
        from work where state <> 'closing' group by tier, state"#
    )
    .fetch_all(&mut *snapshot)
    .await?;
    let mut oldest = None::<i64>;
    for row in rows {
        let count: u64 = number(row.count)?;
        match word(WorkState::parse, &row.state)? {
            WorkState::Ready | WorkState::Backoff => {
                stats.waiting += count;
                *stats.waiting_by_tier.entry(word(Tier::parse, &row.tier)?).or_default() += count;
                oldest = Some(oldest.map_or(row.oldest, |oldest| oldest.min(row.oldest)));
            }
            WorkState::Submitting => stats.active += count,
            WorkState::Rendering => stats.rendering += count,
            WorkState::Closing => {}
        }
    }
    stats.oldest_waiting_seconds =
        oldest.map_or(0.0, |oldest| micros(now).saturating_sub(oldest).max(0) as f64 / 1_000_000.0);
    let since = earlier(now, RECENT);
    let ended = sqlx::query!(
        r#"select count(*) as "finished!: i64", coalesce(sum(outcome = 'failed'), 0) as "failed!: i64"
        from attempts where outcome in ('succeeded', 'failed', 'canceled') and ended_at > ?"#,
        since
    )
    .fetch_one(&mut *snapshot)
    .await?;
    (stats.finished, stats.failed) = (number(ended.finished)?, number(ended.failed)?);
    // The nearest rank of each percentile.
    let waits = sqlx::query!(
        r#"with waited as (
            select waited_seconds as seconds, row_number() over (order by waited_seconds) as place, count(*) over () as total
            from attempts
            where outcome in ('succeeded', 'failed', 'canceled') and ended_at > ? and waited_seconds is not null
        )
        select
            coalesce(max(case when place = (total * 50 + 99) / 100 then seconds end), 0.0) as "p50!: f64",
            coalesce(max(case when place = (total * 95 + 99) / 100 then seconds end), 0.0) as "p95!: f64",
            coalesce(max(case when place = (total * 99 + 99) / 100 then seconds end), 0.0) as "p99!: f64"
        from waited"#,
        since
    )
    .fetch_one(&mut *snapshot)
    .await?;
    stats.wait_seconds = [waits.p50, waits.p95, waits.p99];
    let upstream = sqlx::query!(
        r#"with took as (
            select (ended_at - started_at) / 1000000.0 as seconds, row_number() over (order by ended_at - started_at) as place,
                count(*) over () as total
            from attempts where outcome = 'succeeded' and ended_at > ? and started_at is not null
        )
        select
            coalesce(max(case when place = (total * 50 + 99) / 100 then seconds end), 0.0) as "p50!: f64",
            coalesce(max(case when place = (total * 95 + 99) / 100 then seconds end), 0.0) as "p95!: f64",
            coalesce(max(case when place = (total * 99 + 99) / 100 then seconds end), 0.0) as "p99!: f64"
        from took"#,
        since
    )
    .fetch_one(&mut *snapshot)
    .await?;
    stats.upstream_seconds = [upstream.p50, upstream.p95, upstream.p99];
    Ok(stats)
}

pub(crate) async fn pause(connection: &mut SqliteConnection, paused: bool) -> Outcome<()> {
    sqlx::query!("update scheduler set paused = ?", paused).execute(connection).await?;
    Ok(())
}
