//! The pool's numbers for Prometheus. The gauges are counted when they are asked for, so they are never stale; a follower shows none.

use crate::intake::Origin;
use crate::pool::Pool;
use domain::token::{PoolStatus, TokenState};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use std::sync::{Arc, Weak};

pub(crate) struct Metrics {
    pub(crate) released_unknown: IntCounter,
    pub(crate) wait_seconds: Histogram,
    sourced: IntCounterVec,
    source_failures: IntCounterVec,
    gauges: Gauges,
}

#[derive(Clone)]
struct Gauges {
    tokens: IntGaugeVec,
    min: IntGauge,
    low: IntGauge,
    resting: IntGauge,
    old_keys: IntGauge,
    leases: IntGauge,
    leading: IntGauge,
    waiters: IntGauge,
}

struct PoolCollector {
    pool: Weak<Pool>,
    gauges: Gauges,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let buckets = vec![0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        Ok(Self {
            released_unknown: IntCounter::new(
                "son1k_token_releases_unknown_total",
                "Releases of leases that were not held any more; they changed nothing.",
            )?,
            wait_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "son1k_token_pool_acquire_seconds",
                    "How long the pool took to answer an acquisition.",
                )
                .buckets(buckets),
            )?,
            sourced: IntCounterVec::new(
                Opts::new("son1k_token_source_tokens_total", "Tokens that sources gave, by what became of them."),
                &["source", "outcome"],
            )?,
            source_failures: IntCounterVec::new(
                Opts::new(
                    "son1k_token_source_failures_total",
                    "Looks at a source that brought nothing for want of it.",
                ),
                &["source"],
            )?,
            gauges: Gauges {
                tokens: IntGaugeVec::new(Opts::new("son1k_tokens", "Tokens of the pool, by state."), &["state"])?,
                min: IntGauge::new("son1k_tokens_min", "MIN_TOKENS: fewer usable ones are a low pool.")?,
                low: IntGauge::new("son1k_token_pool_low", "1 while fewer than MIN_TOKENS are usable.")?,
                resting: IntGauge::new("son1k_tokens_resting", "Overused tokens that come after the others.")?,
                old_keys: IntGauge::new(
                    "son1k_tokens_on_old_keys",
                    "Tokens whose secret another encryption key than the first has sealed.",
                )?,
                leases: IntGauge::new("son1k_token_leases", "Leases that stand.")?,
                leading: IntGauge::new("son1k_token_pool_leading", "1 where this replica leads the pool.")?,
                waiters: IntGauge::new("son1k_token_pool_waiters", "Callers that wait for a token.")?,
            },
        })
    }

    pub(crate) fn register(&self, registry: &Registry, pool: &Arc<Pool>) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.released_unknown.clone()))?;
        registry.register(Box::new(self.wait_seconds.clone()))?;
        for origin in Origin::ALL {
            // Zero, and not absent, until something happens.
            self.source_failures.with_label_values(&[origin.name()]).inc_by(0);
            for outcome in ["imported", "duplicate", "pool_full", "invalid"] {
                self.sourced(origin, outcome, 0);
            }
        }
        registry.register(Box::new(self.sourced.clone()))?;
        registry.register(Box::new(self.source_failures.clone()))?;
        registry.register(Box::new(PoolCollector { pool: Arc::downgrade(pool), gauges: self.gauges.clone() }))
    }

    pub(crate) fn sourced(&self, origin: Origin, outcome: &str, count: u64) {
        self.sourced.with_label_values(&[origin.name(), outcome]).inc_by(count);
    }

    pub(crate) fn source_failed(&self, origin: Origin) {
        self.source_failures.with_label_values(&[origin.name()]).inc();
    }
}

impl Collector for PoolCollector {
    fn desc(&self) -> Vec<&Desc> {
        let Gauges { tokens, min, low, resting, old_keys, leases, leading, waiters } = &self.gauges;
        let of_tokens = [tokens.desc(), min.desc(), low.desc(), resting.desc(), old_keys.desc()].concat();
        [of_tokens, leases.desc(), leading.desc(), waiters.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Gauges { tokens, min, low, resting, old_keys, leases, leading, waiters } = &self.gauges;
        let Some(pool) = self.pool.upgrade() else { return Vec::new() };
        let leads = pool.leads();
        leading.set(i64::from(leads));
        if !leads {
            return leading.collect();
        }
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (stats, waiting, at_rest) = {
            let state = pool.state();
            (pool.count(&state), state.waiters.len(), state.book.resting())
        };
        for (state, count) in [
            (TokenState::Usable, stats.usable),
            (TokenState::Cooling, stats.cooling),
            (TokenState::Quarantined, stats.quarantined),
            (TokenState::Exhausted, stats.exhausted),
            (TokenState::Disabled, stats.disabled),
        ] {
            tokens.with_label_values(&[state.name()]).set(count.into());
        }
        min.set(stats.min.into());
        leases.set(stats.leased.into());
        waiters.set(whole(waiting));
        low.set(i64::from(stats.status() != PoolStatus::Ok));
        resting.set(whole(at_rest));
        old_keys.set(whole(pool.sealed_by_others()));
        let of_tokens =
            [tokens.collect(), min.collect(), low.collect(), resting.collect(), old_keys.collect()].concat();
        [of_tokens, leases.collect(), leading.collect(), waiters.collect()].concat()
    }
}
