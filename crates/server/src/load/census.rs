//! What became of the generations of an account, read back from the ledger's own timestamps.
//!
//! These are exact to the millisecond that the API shows, by one clock, and cost the measured time nothing: they are read afterwards.

use super::bench::Bench;
use super::percentiles::Percentiles;
use anyhow::Context;
use client::PageQuery;
use client::admin::AdminGenerationQuery;
use domain::Timestamp;
use domain::ids::AccountId;
use domain::state::Status;
use std::collections::BTreeMap;
use std::time::Duration;

const PAGE: u16 = 100;
/// Beyond it the oldest are left out.
const MOST: usize = 1_000_000;

/// The moments of one generation, in microseconds of the ledger's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) created: i64,
    pub(super) started: Option<i64>,
    pub(super) finished: Option<i64>,
    pub(super) status: Status,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Census {
    pub(super) lives: Vec<Life>,
    /// There were more than are counted.
    pub(super) cut: bool,
}

impl Census {
    /// All of one account's, newest first.
    ///
    /// # Errors
    /// When the operators' API does not answer.
    pub(super) async fn of(bench: &Bench, account: AccountId) -> anyhow::Result<Self> {
        let mut census = Self::default();
        let mut page = PageQuery::of(PAGE);
        loop {
            let query = AdminGenerationQuery { account: Some(account), page, ..AdminGenerationQuery::default() };
            let found = bench.operator.admin().generations(&query).await.context("what became of the generations")?;
            let next = found.next(Some(PAGE));
            let micros = |at: Option<Timestamp>| at.map(|at| at.timestamp_micros());
            census.lives.extend(found.data.iter().map(|found| Life {
                created: found.generation.created_at.timestamp_micros(),
                started: micros(found.generation.started_at),
                finished: micros(found.generation.finished_at),
                status: found.generation.status,
            }));
            census.cut = census.lives.len() >= MOST && next.is_some();
            match next {
                Some(next) if !census.cut && !bench.shutdown.is_cancelled() => page = next,
                _ => return Ok(census),
            }
        }
    }

    /// Of several accounts.
    pub(super) async fn of_all(bench: &Bench, accounts: impl Iterator<Item = AccountId>) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for account in accounts {
            let one = Self::of(bench, account).await?;
            all.lives.extend(one.lives);
            all.cut |= one.cut;
        }
        Ok(all)
    }

    pub(super) fn created(&self) -> Option<(i64, i64)> {
        span(self.lives.iter().map(|life| life.created))
    }

    pub(super) fn started(&self) -> Option<(i64, i64)> {
        span(self.lives.iter().filter_map(|life| life.started))
    }

    pub(super) fn finished(&self) -> Option<(i64, i64)> {
        span(self.lives.iter().filter_map(|life| life.finished))
    }

    /// How many ended as what, or have not.
    pub(super) fn by_status(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for life in &self.lives {
            *counts.entry(life.status.name()).or_default() += 1;
        }
        counts
    }

    pub(super) fn ended(&self) -> u64 {
        self.lives.iter().filter(|life| life.status.is_final()).count() as u64
    }

    /// How many a second ended between the first and the last tenth: without the start and the tail of a short run.
    pub(super) fn middle_rate(&self) -> Option<f64> {
        let mut ends: Vec<i64> = self.lives.iter().filter_map(|life| life.finished).collect();
        ends.sort_unstable();
        let (from, to) = (ends.len() / 10, ends.len() * 9 / 10);
        let micros = ends.get(to)? - ends.get(from)?;
        (micros > 0).then(|| (to - from) as f64 * 1_000_000.0 / micros as f64)
    }

    /// From acceptance to the first claim, of those accepted within `[from, to)` that were started.
    pub(super) fn waits(&self, from: i64, to: i64) -> Percentiles {
        let mut waits = Percentiles::default();
        for life in self.lives.iter().filter(|life| (from..to).contains(&life.created)) {
            if let Some(started) = life.started {
                waits.record(Duration::from_micros(u64::try_from(started - life.created).unwrap_or(0)));
            }
        }
        waits
    }

    /// From acceptance to the end, of those that ended.
    pub(super) fn spans(&self) -> Percentiles {
        let mut spans = Percentiles::default();
        for life in &self.lives {
            if let Some(finished) = life.finished {
                spans.record(Duration::from_micros(u64::try_from(finished - life.created).unwrap_or(0)));
            }
        }
        spans
    }

    /// How many were started in each whole second of `[from, to)`.
    pub(super) fn starts_by_second(&self, from: i64, to: i64) -> Vec<u64> {
        by_second(self.lives.iter().filter_map(|life| life.started), from, to)
    }

    /// How many ended in each whole second of `[from, to)`.
    pub(super) fn ends_by_second(&self, from: i64, to: i64) -> Vec<u64> {
        by_second(self.lives.iter().filter_map(|life| life.finished), from, to)
    }
}

fn span(moments: impl Iterator<Item = i64>) -> Option<(i64, i64)> {
    moments.fold(None, |span, at| match span {
        None => Some((at, at)),
        Some((first, last)) => Some((at.min(first), at.max(last))),
    })
}

fn by_second(moments: impl Iterator<Item = i64>, from: i64, to: i64) -> Vec<u64> {
    let whole = usize::try_from((to - from) / 1_000_000).unwrap_or(0);
    let mut counts = vec![0; whole];
    for at in moments.filter(|at| *at >= from) {
        if let Some(count) = usize::try_from((at - from) / 1_000_000).ok().and_then(|index| counts.get_mut(index)) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_counted_by_the_ledgers_clock() {
        let life = |created, started, finished, status| Life { created, started, finished, status };
        let census = Census {
            lives: vec![
                life(3_000_000, None, None, Status::Queued),
                life(1_000_000, Some(2_500_000), Some(4_000_000), Status::Failed),
                life(0, Some(1_000_000), Some(1_999_999), Status::Succeeded),
            ],
            cut: false,
        };
        assert_eq!((census.created(), census.started()), (Some((0, 3_000_000)), Some((1_000_000, 2_500_000))));
        assert_eq!(census.finished(), Some((1_999_999, 4_000_000)));
        assert_eq!(census.ended(), 2);
        assert_eq!(census.by_status(), BTreeMap::from([("failed", 1), ("queued", 1), ("succeeded", 1)]));
        assert_eq!(census.starts_by_second(0, 3_900_000), [0, 1, 1]);
        assert_eq!(census.ends_by_second(1_000_000, 3_000_000), [1, 0]);
        assert_eq!(census.waits(0, 1_000_000).count(), 1);
        assert_eq!(census.spans().count(), 2);
        assert_eq!(Census::default().created(), None);
    }
}
