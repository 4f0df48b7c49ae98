//! What the gateway counts. Names are part of the public contract; labels are bounded by construction.
//!
//! What is active or rendering is counted by the workers that have it.

use domain::ports::generations::QueueStats;
use domain::tier::Tier;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};

pub(crate) struct Metrics {
    pub(crate) requests: HistogramVec,
    pub(crate) rate_limited: IntCounterVec,
    pub(crate) limiter_fallback: IntGauge,
    pub(crate) rings: IntCounterVec,
    pub(crate) streams: IntGauge,
    pub(crate) ledger_discrepancies: IntGauge,
    pub(crate) ledger_verified: IntGauge,
    pub(crate) dead_letters: IntGauge,
    canceled: IntCounterVec,
    waiting: IntGaugeVec,
    oldest: Gauge,
}

const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0];

/// What is asked most: shown from the start, so that the first failure of a quiet hour is a rise and not a beginning.
const BUSY: [(&str, &str, [&str; 3]); 2] =
    [("POST", "/v1/generations", ["202", "500", "503"]), ("GET", "/v1/generations/{id}", ["200", "500", "503"])];

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let http = HistogramOpts::new("son1k_http_request_duration_seconds", "Time to an answer's head, by route.");
        let metrics = Self {
            requests: HistogramVec::new(http.buckets(SECONDS.to_vec()), &["route", "method", "status"])?,
            rate_limited: counters("son1k_rate_limited_total", "Requests refused with 429, by tier.", &["tier"])?,
            limiter_fallback: IntGauge::new(
                "son1k_rate_limiter_fallback",
                "1 while this gateway limits by its own count because the shared limiter does not answer.",
            )?,
            rings: counters("son1k_rings_total", "Doorbell rings, by direction.", &["direction", "outcome"])?,
            streams: IntGauge::new("son1k_gateway_streams", "Open event streams and held requests.")?,
            ledger_discrepancies: IntGauge::new(
                "son1k_ledger_discrepancies",
                "Accounts whose books did not add up when they were last verified.",
            )?,
            ledger_verified: IntGauge::new(
                "son1k_ledger_verified_timestamp_seconds",
                "When all books were last added up, as a Unix time by the ledger's clock; 0 before the first time.",
            )?,
            dead_letters: IntGauge::new(
                "son1k_dead_letters",
                "Rings that made no sense and were laid aside for an operator to look at.",
            )?,
            canceled: counters(
                "son1k_generations_finished_total",
                "Generations that ended, by tier and outcome.",
                &["tier", "outcome"],
            )?,
            waiting: IntGaugeVec::new(Opts::new("son1k_generations_waiting", "Queued generations."), &["tier"])?,
            oldest: Gauge::new("son1k_generation_oldest_waiting_seconds", "Age of the oldest that waits.")?,
        };
        metrics.begin_at_zero();
        for collector in metrics.collectors() {
            // In one process with other services a name may be taken; the first to register it is shown.
            if let Err(error) = registry.register(collector) {
                tracing::debug!(%error, "a metric is registered already");
            }
        }
        Ok(metrics)
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.requests.clone()),
            Box::new(self.rate_limited.clone()),
            Box::new(self.limiter_fallback.clone()),
            Box::new(self.rings.clone()),
            Box::new(self.streams.clone()),
            Box::new(self.ledger_discrepancies.clone()),
            Box::new(self.ledger_verified.clone()),
            Box::new(self.dead_letters.clone()),
            Box::new(self.canceled.clone()),
            Box::new(self.waiting.clone()),
            Box::new(self.oldest.clone()),
        ]
    }

    /// Zero, and not absent, until something happens: a rate over what is absent is nothing, and no alert fires on nothing.
    fn begin_at_zero(&self) {
        for tier in Tier::ALL.map(Tier::name) {
            self.rate_limited.with_label_values(&[tier]);
            self.canceled.with_label_values(&[tier, "canceled"]);
            self.waiting.with_label_values(&[tier]);
        }
        for direction in ["to_workers", "notices", "to_gateways"] {
            for outcome in ["sent", "failed"] {
                self.rings.with_label_values(&[direction, outcome]);
            }
        }
        for outcome in ["rang", "missed"] {
            self.rings.with_label_values(&["heard", outcome]);
        }
        for (method, route, statuses) in BUSY {
            for status in statuses {
                self.requests.with_label_values(&[route, method, status]);
            }
        }
    }

    pub(crate) fn canceled(&self, tier: Tier) {
        self.canceled.with_label_values(&[tier.name(), "canceled"]).inc();
    }

    pub(crate) fn show_queue(&self, stats: &QueueStats) {
        for tier in Tier::ALL {
            let waiting = stats.waiting_by_tier.get(&tier).copied().unwrap_or(0);
            self.waiting.with_label_values(&[tier.name()]).set(signed(waiting));
        }
        self.oldest.set(stats.oldest_waiting_seconds);
    }

    pub(crate) fn rang(&self, direction: &str, outcome: &str) {
        self.rings.with_label_values(&[direction, outcome]).inc();
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn counters(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), labels)
}
