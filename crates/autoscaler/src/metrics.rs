//! What the autoscaler counts. Every replica shows the numbers of the last decision; only the leader counts evaluations.

use domain::scaling::{Rule, Standing};
use prometheus::{Gauge, IntCounterVec, IntGauge, Opts, Registry, core::Collector};

pub(crate) struct Metrics {
    desired: IntGauge,
    current: IntGauge,
    cpu: Gauge,
    pub(crate) leading: IntGauge,
    evaluations: IntCounterVec,
    applied: IntCounterVec,
    pub(crate) ledger_failures: prometheus::IntCounter,
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    pub(crate) fn new(registry: &Registry, controller: &str) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| registered(registry, IntGauge::new(name, help)?);
        let counters = |name, help, label| registered(registry, IntCounterVec::new(Opts::new(name, help), &[label])?);
        let applied =
            Opts::new("son1k_scaling_controller_calls_total", "Calls of the controller, by what became of them.")
                .const_label("controller", controller);
        let metrics = Self {
            desired: gauge("son1k_scaling_desired_replicas", "Worker replicas that there should be.")?,
            current: gauge("son1k_scaling_current_replicas", "Worker replicas that there are.")?,
            cpu: registered(
                registry,
                Gauge::new(
                    "son1k_scaling_cpu_ratio",
                    "The workers' mean CPU, as a share of what they may use; -1: not known.",
                )?,
            )?,
            leading: gauge("son1k_scaling_leading", "1 where this replica leads.")?,
            evaluations: counters(
                "son1k_scaling_evaluations_total",
                "Decisions made, by the rule that they followed.",
                "rule",
            )?,
            applied: registered(registry, IntCounterVec::new(applied, &["outcome"])?)?,
            ledger_failures: registered(
                registry,
                prometheus::IntCounter::new(
                    "son1k_scaling_ledger_failures_total",
                    "Evaluations that the ledger kept from being made.",
                )?,
            )?,
        };
        // All of them from the start, so that a rate of zero is seen.
        Rule::ALL.iter().for_each(|rule| metrics.evaluations.with_label_values(&[rule.name()]).inc_by(0));
        ["ok", "failed"].iter().for_each(|outcome| metrics.applied.with_label_values(&[outcome]).inc_by(0));
        Ok(metrics)
    }

    pub(crate) fn show(&self, standing: &Standing) {
        self.desired.set(standing.decision.desired.into());
        self.current.set(standing.inputs.current.into());
        self.cpu.set(standing.inputs.observed.cpu.unwrap_or(-1.0));
    }

    pub(crate) fn evaluated(&self, rule: Rule) {
        self.evaluations.with_label_values(&[rule.name()]).inc();
    }

    pub(crate) fn called(&self, worked: bool) {
        self.applied.with_label_values(&[if worked { "ok" } else { "failed" }]).inc();
    }
}
