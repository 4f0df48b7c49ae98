//! What a worker counts. The names are documented and dashboards rely on them.

use crate::call;
use domain::tier::Tier;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};

pub(crate) struct Metrics {
    pub(crate) slots: IntGaugeVec,
    pub(crate) active: IntGauge,
    pub(crate) rendering: IntGauge,
    pub(crate) upstream_time: Histogram,
    pub(crate) wait: Histogram,
    pub(crate) finished: IntCounterVec,
    pub(crate) token_lease_wait: Histogram,
    pub(crate) rings: IntCounterVec,
    pub(crate) stale_writes: IntCounter,
    pub(crate) abandoned: IntCounter,
    pub(crate) panics: IntCounter,
    pub(crate) upstream_calls: IntCounterVec,
    pub(crate) breaker_open: IntGauge,
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn seconds(name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
}

impl Metrics {
    /// Fails when a name is taken: one worker a registry.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let quick = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
        let long = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
        let gauge = |name, help| registered(registry, IntGauge::new(name, help)?);
        let counter = |name, help| registered(registry, IntCounter::new(name, help)?);
        let counters =
            |name, help, labels: &[&str]| registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?);
        let histogram = |name, help, buckets: &[f64]| registered(registry, seconds(name, help, buckets)?);
        let finished = counters(
            "son1k_generations_finished_total",
            "Generations that ended, by tier and outcome.",
            &["tier", "outcome"],
        )?;
        let rings = counters("son1k_rings_total", "Doorbell rings, by direction.", &["direction", "outcome"])?;
        let upstream_calls = counters("son1k_upstream_calls_total", "Calls of the upstream.", &["call", "outcome"])?;
        // Zero, and not absent, until something happens: a rate over what is absent is nothing.
        for outcome in ["succeeded", "failed", "canceled"] {
            for tier in Tier::ALL.map(Tier::name).into_iter().chain(["unknown"]) {
                finished.with_label_values(&[tier, outcome]);
            }
        }
        for (direction, outcomes) in [
            ("to_workers", &["sent", "failed"][..]),
            ("to_gateways", &["sent", "failed", "dropped"]),
            ("notices", &["sent", "failed"]),
            ("heard", &["rang", "missed"]),
            ("called_back", &["ours", "not_ours"]),
        ] {
            for outcome in outcomes {
                rings.with_label_values(&[direction, outcome]);
            }
        }
        for call in ["submit", "poll", "cancel"] {
            for outcome in call::OUTCOMES {
                upstream_calls.with_label_values(&[call, outcome]);
            }
        }
        let slots = Opts::new("son1k_worker_slots", "Slots for submissions in work, by state");
        Ok(Self {
            slots: registered(registry, IntGaugeVec::new(slots, &["state"])?)?,
            active: gauge("son1k_generations_active", "Generations this worker submits or settles")?,
            rendering: gauge("son1k_generations_rendering", "Generations that render upstream for this worker")?,
            upstream_time: histogram(
                "son1k_generation_upstream_seconds",
                "From the submission upstream to its completion",
                &long,
            )?,
            wait: histogram("son1k_generation_wait_seconds", "From acceptance to the first claim", &long)?,
            finished,
            token_lease_wait: histogram("son1k_token_lease_wait_seconds", "How long the pool took to lease", &quick)?,
            rings,
            stale_writes: counter("son1k_worker_stale_writes_total", "Writes that came too late and changed nothing")?,
            abandoned: counter(
                "son1k_worker_abandoned_total",
                "Generations in hand when the lease was lost: others adopted them",
            )?,
            panics: counter("son1k_worker_panics_total", "Jobs that panicked")?,
            upstream_calls,
            breaker_open: gauge("son1k_upstream_breaker_open", "1 while only probes are sent to the upstream")?,
        })
    }
}
