//! What one generation and one read cost each part, in CPU seconds: measured once, given, or taken from runs' reports.

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What costs, by the name that `--cost` and `--pid` give it; reads apart.
pub(in crate::load) type Part = &'static str;

const PARTS: [Part; 9] =
    ["gateway", "worker", "pool", "postgresql", "rabbitmq", "redis", "gateway-read", "postgresql-read", "redis-read"];

/// The figures of a run that tell of generations at their end; those that wait or are rendered have not cost all yet.
const ENDS: [&str; 3] = ["generations succeeded", "generations failed", "generations canceled"];

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Costs {
    pub(super) gateway: f64,
    pub(super) worker: f64,
    pub(super) pool: f64,
    pub(super) postgresql: f64,
    pub(super) rabbitmq: f64,
    pub(super) redis: f64,
    pub(super) gateway_read: f64,
    pub(super) postgresql_read: f64,
    pub(super) redis_read: f64,
}

impl Default for Costs {
    /// As docs/benchmarks.md has them, under "What one generation costs".
    fn default() -> Self {
        Self {
            gateway: 0.000_084,
            worker: 0.001_96,
            pool: 0.000_45,
            postgresql: 0.003_34,
            rabbitmq: 0.001_89,
            redis: 0.000_020,
            gateway_read: 0.000_069,
            postgresql_read: 0.000_090,
            redis_read: 0.000_015,
        }
    }
}

/// `NAME=SECONDS`.
pub(super) fn given(text: &str) -> Result<(Part, f64), String> {
    let names = PARTS.join(", ");
    let (name, seconds) = text.split_once('=').ok_or_else(|| format!("NAME=SECONDS, NAME one of {names}"))?;
    let part = PARTS.into_iter().find(|part| *part == name).ok_or_else(|| format!("one of {names}"))?;
    let seconds = seconds.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    Ok((part, seconds.ok_or("seconds, 0 or more")?))
}

impl Costs {
    pub(super) fn set(&mut self, part: &str, seconds: f64) {
        let place = match part {
            "gateway" => &mut self.gateway,
            "worker" => &mut self.worker,
            "pool" => &mut self.pool,
            "postgresql" => &mut self.postgresql,
            "rabbitmq" => &mut self.rabbitmq,
            "redis" => &mut self.redis,
            "gateway-read" => &mut self.gateway_read,
            "postgresql-read" => &mut self.postgresql_read,
            "redis-read" => &mut self.redis_read,
            _ => return,
        };
        *place = seconds;
    }

    /// The watched processes of a run: of `read` shared among its reads, of others among the generations that ended in it.
    pub(super) fn take(&mut self, path: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(path).context("it cannot be read")?;
        let report: Value = serde_json::from_str(&text).context("it is no report")?;
        let of_reads = report["profile"] == "read";
        let count: f64 = if of_reads {
            report["answers"]["read"].as_f64().unwrap_or(0.0)
        } else {
            let figures = report["figures"].as_array().into_iter().flatten();
            let ends = figures.filter(|figure| figure["name"].as_str().is_some_and(|name| ENDS.contains(&name)));
            ends.filter_map(|figure| figure["value"].as_f64()).sum()
        };
        if count < 1.0 {
            bail!(
                "it tells of no generation that ended and of no read: `open --to-the-end`, `drain` or `read` is needed"
            );
        }
        let mut used: BTreeMap<Part, f64> = BTreeMap::new();
        for process in report["processes"].as_array().into_iter().flatten() {
            let name = process["name"].as_str().unwrap_or_default();
            let named = if of_reads { format!("{name}-read") } else { name.to_owned() };
            let Some(part) = PARTS.into_iter().find(|part| *part == named) else { continue };
            let seconds = process["cpu_seconds"].as_f64();
            let seconds = seconds.with_context(|| format!("{name} ended during it: what it used is not known"))?;
            // Several workers of one name did the work together.
            *used.entry(part).or_default() += seconds;
        }
        if used.is_empty() {
            bail!("it watched none of the processes: --pid and --pid-tree name them");
        }
        used.into_iter().for_each(|(part, seconds)| self.set(part, seconds / count));
        Ok(())
    }
}
