//! What one generation and one read cost each part, in CPU seconds: measured once, given, or taken from runs' reports.

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// What costs, by the name that `--cost` and `--pid` give it; reads apart.
pub(in crate::load) type Part = &'static str;

const PARTS: [Part; 9] =
    ["gateway", "worker", "pool", "postgresql", "rabbitmq", "redis", "gateway-read", "postgresql-read", "redis-read"];

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
            report["answers"]
                .as_object()
                .into_iter()
                .flat_map(|answers| answers.values())
                .filter_map(Value::as_f64)
                .sum()
        } else {
            let figures = report["figures"].as_array().into_iter().flatten();
            let ends =
                figures.filter(|figure| figure["name"].as_str().is_some_and(|name| name.starts_with("generations ")));
            ends.filter_map(|figure| figure["value"].as_f64()).sum()
        };
        if count < 1.0 {
            bail!(
                "it tells of no generation that ended and of no read: `open --to-the-end`, `drain` or `read` is needed"
            );
        }
        let mut known = false;
        for process in report["processes"].as_array().into_iter().flatten() {
            if let (Some(name), Some(seconds)) = (process["name"].as_str(), process["cpu_seconds"].as_f64()) {
                let part = if of_reads { format!("{name}-read") } else { name.to_owned() };
                known |= PARTS.contains(&part.as_str());
                self.set(&part, seconds / count);
            }
        }
        if !known {
            bail!("it watched none of the processes: --pid and --pid-tree name them");
        }
        Ok(())
    }
}
