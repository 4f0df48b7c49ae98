//! A report as text for a terminal.

use super::report::{Figure, Report, Row};
use std::fmt::Write;

/// Line by line.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let machine = &report.machine;
    let mut lines = vec![
        format!("son1k load {} at {}", report.profile, report.at.format("%Y-%m-%d %H:%M:%S UTC")),
        format!(
            "{}, {} cores, {:.0} GiB, {}, {} build of {}",
            machine.processor, machine.cores, machine.memory, machine.kernel, machine.build, report.version
        ),
        options(report),
        String::new(),
    ];
    let width = report.figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    lines.extend(report.figures.iter().map(|figure| format!("  {:<width$}  {:>12}", figure.name, value(figure))));
    if !report.percentiles.is_empty() {
        let width = report.percentiles.iter().map(|row| row.name.len()).max().unwrap_or(0).max(12);
        lines.push(String::new());
        let head = ["count", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"];
        let head = head.iter().fold(format!("  {:<width$}", "milliseconds"), |mut line, name| {
            // Writing to memory does not fail.
            let _ = write!(line, " {name:>10}");
            line
        });
        lines.push(head);
        lines.extend(report.percentiles.iter().map(|row| percentiles(row, width)));
    }
    if !report.answers.is_empty() {
        lines.push(String::new());
        lines.extend(report.answers.iter().map(|(name, count)| format!("  {count:>10}  {name}")));
    }
    if !report.processes.is_empty() {
        let width = report.processes.iter().map(|usage| usage.name.len()).max().unwrap_or(0);
        lines.push(String::new());
        lines.push(format!("  {:<width$} {:>10} {:>12} {:>12}", "", "CPU s", "MiB before", "MiB at most"));
        let number =
            |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
        lines.extend(report.processes.iter().map(|usage| {
            format!(
                "  {:<width$} {:>10} {:>12} {:>12}",
                usage.name,
                number(usage.cpu_seconds, 2),
                number(usage.resident_before, 1),
                number(usage.resident_most, 1)
            )
        }));
    }
    if !report.notes.is_empty() {
        lines.push(String::new());
        lines.extend(report.notes.iter().map(|note| format!("Note: {note}.")));
    }
    lines.extend(left(&report.left));
    lines
}

/// What stays when the load has gone.
pub(super) fn left(left: &[String]) -> Vec<String> {
    if left.is_empty() {
        return Vec::new();
    }
    let head = [String::new(), "Nothing was removed. Left on the system:".to_owned()];
    head.into_iter().chain(left.iter().map(|left| format!("  {left}"))).collect()
}

/// The options, as they would be typed.
pub(super) fn options(report: &Report) -> String {
    let Some(asked) = report.asked.as_object() else { return String::new() };
    let shown = asked.iter().filter_map(|(name, value)| {
        let name = name.replace('_', "-");
        match value {
            serde_json::Value::Bool(true) => Some(format!("--{name}")),
            serde_json::Value::Bool(false) | serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(format!("--{name} {text}")),
            serde_json::Value::Array(items) => {
                let items: Vec<&str> = items.iter().filter_map(serde_json::Value::as_str).collect();
                Some(format!("--{name} {}", items.join(",")))
            }
            other => Some(format!("--{name} {other}")),
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// A figure with its unit; counts without decimals.
pub(super) fn value(figure: &Figure) -> String {
    let Figure { value, unit, .. } = figure;
    let digits = if value.fract() == 0.0 && unit.is_empty() || value.abs() >= 1_000.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        3
    };
    let space = if unit.is_empty() || unit.starts_with('/') { "" } else { " " };
    format!("{value:.digits$}{space}{unit}")
}

fn percentiles(row: &Row, width: usize) -> String {
    let values = [row.mean, row.p50, row.p90, row.p95, row.p99, row.p999, row.max];
    values.iter().fold(format!("  {:<width$} {:>10}", row.name, row.count), |mut line, value| {
        let _ = write!(line, " {value:>10.2}");
        line
    })
}

#[cfg(test)]
mod tests {
    use super::super::percentiles::Percentiles;
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn a_report_is_readable_and_says_what_is_left() {
        let mut report = Report::new("submit", &json!({"connections": 64, "idle": false, "tiers": ["free", "pro"]}));
        report.figure("accepted a second", 17_345.6, "/s");
        report.figure("generations failed", 3.0, "");
        report.figure("errors", 0.25, "%");
        let mut latency = Percentiles::default();
        latency.record(Duration::from_micros(3_250));
        report.percentiles("accepted, latency", &latency);
        report.percentiles("nothing", &Percentiles::default());
        report.answers.insert("429 rate_limited".into(), 7);
        report.note("it was short");
        report.left.push("account acc_1".into());
        let text = lines(&report).join("\n");
        for part in [
            "--connections 64 --tiers free,pro\n",
            "accepted a second        17346/s",
            "generations failed             3",
            "errors                   0.250 %",
            "accepted, latency          1       3.25",
            "7  429 rate_limited",
            "Note: it was short.",
            "Nothing was removed. Left on the system:\n  account acc_1",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(!text.contains("nothing") && !text.contains("--idle"));
    }
}
