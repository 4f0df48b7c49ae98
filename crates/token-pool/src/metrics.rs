//! The pool's numbers for Prometheus. The gauges are counted when they are asked for, so they are never stale; a follower shows none.

use crate::pool::Pool;
use domain::token::TokenState;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};
use std::sync::{Arc, Weak};

pub(crate) struct Metrics {
    pub(crate) released_unknown: IntCounter,
    pub(crate) wait_seconds: Histogram,
    gauges: Gauges,
}

#[derive(Clone)]
struct Gauges {
    tokens: IntGaugeVec,
    min: IntGauge,
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
            gauges: Gauges {
                tokens: IntGaugeVec::new(Opts::new("son1k_tokens", "Tokens of the pool, by state."), &["state"])?,
                min: IntGauge::new("son1k_tokens_min", "MIN_TOKENS: fewer usable ones are a low pool.")?,
                leases: IntGauge::new("son1k_token_leases", "Leases that stand.")?,
                leading: IntGauge::new("son1k_token_pool_leading", "1 where this replica leads the pool.")?,
                waiters: IntGauge::new("son1k_token_pool_waiters", "Callers that wait for a token.")?,
            },
        })
    }

    pub(crate) fn register(&self, registry: &Registry, pool: &Arc<Pool>) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.released_unknown.clone()))?;
        registry.register(Box::new(self.wait_seconds.clone()))?;
        registry.register(Box::new(PoolCollector { pool: Arc::downgrade(pool), gauges: self.gauges.clone() }))
    }
}

impl Collector for PoolCollector {
    fn desc(&self) -> Vec<&Desc> {
        let Gauges { tokens, min, leases, leading, waiters } = &self.gauges;
        [tokens.desc(), min.desc(), leases.desc(), leading.desc(), waiters.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Gauges { tokens, min, leases, leading, waiters } = &self.gauges;
        let Some(pool) = self.pool.upgrade() else { return Vec::new() };
        let leads = pool.leads();
        leading.set(i64::from(leads));
        if !leads {
            return leading.collect();
        }
        let (stats, waiting) = {
            let state = pool.state();
            (pool.count(&state), state.waiters.len())
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
        waiters.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        [tokens.collect(), min.collect(), leases.collect(), leading.collect(), waiters.collect()].concat()
    }
}
