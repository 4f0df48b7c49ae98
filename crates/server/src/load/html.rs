//! A report as one page that opens anywhere: its charts are inline SVG, and nothing is loaded from elsewhere.

use super::report::{Report, Row, Series};
use super::table;
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
/// Around the plot, for its labels.
const LEFT: f64 = 64.0;
const BELOW: f64 = 24.0;
/// Points that a chart of this width can show.
const POINTS_MOST: usize = 1_440;

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2430; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #e3e6eb }
td:first-child, th:first-child { text-align: left } svg { display: block; width: 100%; height: auto } h2 { margin-top: 2rem; font-size: 1.1rem }
polyline { fill: none; stroke: #2a6fdb; stroke-width: 1.5 } line { stroke: #c9ced6 } text { font-size: 11px; fill: #5b6472 }
@media (prefers-color-scheme: dark) { body { color: #dde3ec; background: #12161c } td, th { border-color: #2a313b } polyline { stroke: #7fb0ff } line { stroke: #3a424e } text { fill: #98a2b1 } }
";

pub(super) fn page(report: &Report) -> String {
    let title = format!("son1k load {}", report.profile);
    let machine = &report.machine;
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p>{}<br>{}<br><code>{}</code></p>\n",
        report.at.format("%Y-%m-%d %H:%M:%S UTC"),
        escaped(&format!(
            "{}, {} cores, {:.0} GiB, {}, {} build of {}",
            machine.processor, machine.cores, machine.memory, machine.kernel, machine.build, report.version
        )),
        escaped(&table::options(report)),
    );
    rows(&mut page, "Figures", &["", ""], report.figures.iter().map(|f| vec![f.name.clone(), table::value(f)]));
    let head = ["milliseconds", "count", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"];
    rows(&mut page, "Percentiles", &head, report.percentiles.iter().map(cells));
    for row in &report.percentiles {
        curve(&mut page, row);
    }
    for series in &report.series {
        course(&mut page, series);
    }
    rows(&mut page, "Answers", &["", ""], report.answers.iter().map(|(name, n)| vec![name.clone(), n.to_string()]));
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    let processes = report.processes.iter().map(|usage| {
        vec![usage.name.clone(), number(usage.cpu_seconds), number(usage.resident_before), number(usage.resident_most)]
    });
    rows(&mut page, "Processes", &["", "CPU seconds", "MiB before", "MiB at most"], processes);
    rows(&mut page, "Notes", &[""], report.notes.iter().map(|note| vec![note.clone()]));
    rows(&mut page, "Left on the system", &[""], report.left.iter().map(|left| vec![left.clone()]));
    page.push_str("</body></html>\n");
    page
}

fn cells(row: &Row) -> Vec<String> {
    let values = [row.mean, row.p50, row.p90, row.p95, row.p99, row.p999, row.max];
    let values = values.iter().map(|value| format!("{value:.2}"));
    [row.name.clone(), row.count.to_string()].into_iter().chain(values).collect()
}

fn rows(page: &mut String, title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let line = |cells: &[String], tag: &str| {
        cells.iter().fold(String::new(), |line, cell| line + &format!("<{tag}>{}</{tag}>", escaped(cell)))
    };
    // Writing to memory does not fail, here and below.
    let _ = write!(page, "<h2>{title}</h2>\n<table>");
    if head.iter().any(|name| !name.is_empty()) {
        let head: Vec<String> = head.iter().map(ToString::to_string).collect();
        let _ = write!(page, "<tr>{}</tr>", line(&head, "th"));
    }
    for row in rows {
        let _ = writeln!(page, "<tr>{}</tr>", line(&row, "td"));
    }
    page.push_str("</table>\n");
}

/// Milliseconds over percent; the tail is where the interest is, so each step to the right halves what is above.
fn curve(page: &mut String, row: &Row) {
    let nines = |percent: f64| (1.0 / (1.0 - percent.min(99.995) / 100.0)).log2();
    let points: Vec<(f64, f64)> = row.curve.iter().map(|(percent, value)| (nines(*percent), *value)).collect();
    let marks: Vec<(f64, String)> =
        [50.0, 90.0, 99.0, 99.9].iter().map(|percent| (nines(*percent), format!("p{percent}"))).collect();
    chart(page, &format!("{} (ms)", row.name), &points, &marks);
}

fn course(page: &mut String, series: &Series) {
    // A long run is shown by the largest value of each stretch.
    let stretch = series.points.len().div_ceil(POINTS_MOST).max(1);
    let points: Vec<(f64, f64)> = series
        .points
        .chunks(stretch)
        .enumerate()
        .map(|(index, values)| ((index * stretch) as f64, values.iter().copied().fold(0.0, f64::max)))
        .collect();
    let last = points.last().map_or(0.0, |(at, _)| *at);
    let marks = [(0.0, "0 s".to_owned()), (last, format!("{last:.0} s"))];
    let unit = if series.unit == "ms" { " (ms)" } else { "" };
    chart(page, &format!("{}{unit}", series.name), &points, &marks);
}

fn chart(page: &mut String, title: &str, points: &[(f64, f64)], marks: &[(f64, String)]) {
    if points.len() < 2 {
        return;
    }
    let (right, top) = points.iter().fold((0.0_f64, 0.0_f64), |(x, y), point| (x.max(point.0), y.max(point.1)));
    let (right, top) = (right.max(f64::MIN_POSITIVE), if top > 0.0 { top } else { 1.0 });
    let x = |value: f64| LEFT + value / right * (WIDTH - LEFT);
    let y = |value: f64| 8.0 + (1.0 - value / top) * (HEIGHT - 8.0 - BELOW);
    let _ = write!(page, "<h2>{}</h2>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">", escaped(title));
    for value in [0.0, top / 2.0, top] {
        let (at, digits) = (y(value), if top < 10.0 { 2 } else { 0 });
        let _ = write!(
            page,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{value:.digits$}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for (at, name) in marks {
        let anchor = if x(*at) > WIDTH - 40.0 { "end" } else { "start" };
        let _ = write!(page, "<text x=\"{:.1}\" y=\"{HEIGHT}\" text-anchor=\"{anchor}\">{name}</text>", x(*at));
    }
    page.push_str("<polyline points=\"");
    for point in points {
        let _ = write!(page, "{:.1},{:.1} ", x(point.0), y(point.1));
    }
    page.push_str("\"/></svg>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::percentiles::Percentiles;
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_page_stands_alone_and_repeats_no_markup() {
        let mut report = Report::new("open", &serde_json::json!({"rate": 500.0}));
        let mut latency = Percentiles::default();
        (1..1_000).for_each(|ms| latency.record(Duration::from_millis(ms)));
        report.percentiles("accepted, latency", &latency);
        report.series("accepted a second", "/s", (0..5_000).map(f64::from));
        report.series("one point draws nothing", "/s", [1.0]);
        report.answers.insert("<script>".into(), 1);
        let page = page(&report);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
        assert!(!page.contains("http") && !page.contains("url("), "something is loaded");
        assert_eq!(page.matches("<svg").count(), 2);
        assert!(page.len() < 40_000, "{} bytes", page.len());
        assert!(!page.contains("NaN") && !page.contains("inf"));
    }
}
