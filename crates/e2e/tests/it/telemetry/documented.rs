//! The table of metrics in `docs/metrics.md`, and a page of `/metrics`, each as data that can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A metric's type and the names of its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metric {
    pub kind: String,
    pub labels: BTreeSet<String>,
}

pub(crate) type Metrics = BTreeMap<String, Metric>;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// What is between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Rows of the form ``| `name` | type | `label`, … | meaning |``.
pub(crate) fn documented() -> Metrics {
    let text = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let mut metrics = Metrics::new();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning] = cells.as_slice() else { panic!("not four cells: {row}") };
        assert!(!meaning.is_empty(), "{row}");
        let name = quoted(name).next().unwrap().to_owned();
        let metric = Metric { kind: (*kind).to_owned(), labels: quoted(labels).map(str::to_owned).collect() };
        if let Some(before) = metrics.insert(name.clone(), metric.clone()) {
            assert_eq!(before, metric, "{name} is documented twice, and differently");
        }
    }
    assert!(metrics.len() > 20, "{metrics:?}");
    metrics
}

/// The names of a metric's series: a histogram has three.
pub(crate) fn series(name: &str, metric: &Metric) -> Vec<String> {
    match metric.kind.as_str() {
        "histogram" => ["_bucket", "_count", "_sum"].map(|end| format!("{name}{end}")).to_vec(),
        _ => vec![name.to_owned()],
    }
}

/// Every name in `text` that begins as one of our metrics does.
pub(crate) fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("process_") || word.strip_prefix("son1k_").is_some_and(|rest| !rest.is_empty()))
        .map(str::to_owned)
        .collect()
}

/// What a page of Prometheus's text format shows.
pub(crate) fn shown(page: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in page.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            metrics.insert(name.to_owned(), Metric { kind: kind.to_owned(), labels: BTreeSet::new() });
        } else if let Some((name, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let family = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
            let family = family.filter(|family| metrics.contains_key(*family)).unwrap_or(name);
            let labels = rest.split("=\"").map(|part| part.rsplit(['"', ',', '{']).next().unwrap_or_default());
            let labels: Vec<&str> = labels.collect();
            // After the last label there is its value, and no name.
            let names = labels[..labels.len() - 1].iter().filter(|label| **label != "le");
            metrics.get_mut(family).unwrap().labels.extend(names.map(|label| (*label).to_owned()));
        }
    }
    metrics
}

#[test]
fn a_page_is_read() {
    let page = "# HELP a A.\n# TYPE a histogram\na_bucket{route=\"/x,{id}\",le=\"1\"} 0\na_sum{route=\"/x\"} 0\n# TYPE b gauge\nb 1\n";
    let read = shown(page);
    assert_eq!(read["a"], Metric { kind: "histogram".into(), labels: ["route".to_owned()].into() });
    assert_eq!(read["b"], Metric { kind: "gauge".into(), labels: BTreeSet::new() });
}
