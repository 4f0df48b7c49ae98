//! What a run found: figures, percentiles, answers, costs, and the course of it second by second.

use super::census::Census;
use super::closed::Measured;
use super::machine::Machine;
use super::meter::{self, Usage};
use super::percentiles::Percentiles;
use domain::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::SystemTime;

#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) profile: &'static str,
    /// The options it ran with, defaults included.
    pub(super) asked: Value,
    pub(super) at: Timestamp,
    pub(super) version: &'static str,
    pub(super) machine: Machine,
    pub(super) figures: Vec<Figure>,
    pub(super) percentiles: Vec<Row>,
    /// Requests by what was answered.
    pub(super) answers: BTreeMap<String, u64>,
    pub(super) processes: Vec<Usage>,
    pub(super) series: Vec<Series>,
    pub(super) notes: Vec<String>,
    /// What stays on the system.
    pub(super) left: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
}

/// Milliseconds, all of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) count: u64,
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
    /// Percent and milliseconds.
    pub(super) curve: Vec<(f64, f64)>,
}

/// A value each second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) points: Vec<f64>,
}

impl Report {
    pub(super) fn new(profile: &'static str, asked: &impl Serialize) -> Self {
        Self {
            profile,
            asked: serde_json::to_value(asked).unwrap_or_default(),
            // The reader's calendar; nothing is measured by it.
            at: Timestamp::from(SystemTime::now()),
            version: env!("CARGO_PKG_VERSION"),
            machine: Machine::this(),
            figures: Vec::new(),
            percentiles: Vec::new(),
            answers: BTreeMap::new(),
            processes: Vec::new(),
            series: Vec::new(),
            notes: Vec::new(),
            left: Vec::new(),
        }
    }

    pub(super) fn figure(&mut self, name: &str, value: f64, unit: &'static str) {
        self.figures.push(Figure { name: name.to_owned(), value, unit });
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(super) fn percentiles(&mut self, name: &str, of: &Percentiles) {
        if of.count() == 0 {
            return;
        }
        self.percentiles.push(Row {
            name: name.to_owned(),
            count: of.count(),
            mean: of.mean(),
            p50: of.at(50.0),
            p90: of.at(90.0),
            p95: of.at(95.0),
            p99: of.at(99.0),
            p999: of.at(99.9),
            max: of.max(),
            curve: of.curve(),
        });
    }

    pub(super) fn series(&mut self, name: &str, unit: &'static str, points: impl IntoIterator<Item = f64>) {
        self.series.push(Series { name: name.to_owned(), unit, points: points.into_iter().collect() });
    }

    /// The requests of a loop: how many a second, their errors, latency and course. `done`: what a success is called.
    pub(super) fn requests(&mut self, done: &str, measured: &Measured) {
        let tally = &measured.tally;
        let seconds = measured.seconds.max(f64::MIN_POSITIVE);
        self.figure(&format!("{done} a second"), tally.succeeded as f64 / seconds, "/s");
        self.figure("errors", tally.error_rate(), "%");
        self.percentiles(&format!("{done}, latency"), &tally.latency);
        self.answers.insert(done.to_owned(), tally.succeeded);
        self.answers.extend(tally.failures.clone());
        self.series(&format!("{done} a second"), "/s", tally.seconds.iter().map(|second| second.succeeded as f64));
        self.series("latency p99", "ms", tally.seconds.iter().map(|second| second.p99));
        if tally.failed() > 0 {
            self.series("failed a second", "/s", tally.seconds.iter().map(|second| second.failed as f64));
        }
    }

    /// What `count` of `done` cost the watched processes.
    pub(super) fn cost(&mut self, done: &str, count: u64, usage: Vec<Usage>) {
        if let Some(cpu) = meter::cpu_of_the_system(&usage).filter(|_| count > 0) {
            self.figure(&format!("CPU seconds per 1,000 {done}"), cpu * 1_000.0 / count as f64, "s");
        }
        for ended in usage.iter().filter(|usage| usage.cpu_seconds.is_none()) {
            self.note(format!("{} ended meanwhile", ended.name));
        }
        self.processes = usage;
    }

    /// How the generations of a run ended.
    pub(super) fn ends(&mut self, census: &Census) {
        for (status, count) in census.by_status() {
            self.figure(&format!("generations {status}"), count as f64, "");
        }
        if census.cut {
            self.note("only the newest million generations of an account are counted");
        }
    }
}
