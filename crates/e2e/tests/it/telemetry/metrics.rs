//! What a running system shows at `/metrics`, compared with `docs/metrics.md`: names, types and labels, before anything happened and after.

use super::documented::{Metrics, documented, shown};
use crate::system::{Mode, TestApp, report, until};
use serde_json::json;
use std::time::Duration;

/// A label with more values than this has one for each customer, or address, or the like.
const VALUES_MOST: usize = 40;

/// What all processes show together. Each must show what is documented, as documented.
fn compare(pages: &[(String, String)]) -> Metrics {
    let expected = documented();
    let mut all = Metrics::new();
    for (process, page) in pages {
        for (name, metric) in shown(page) {
            let documented = expected.get(&name);
            let documented = documented.unwrap_or_else(|| panic!("{process} shows {name}, docs/metrics.md does not"));
            assert_eq!(metric.kind, documented.kind, "{name}");
            // A family that nothing happened in has no series yet, and so no labels.
            assert!(
                metric.labels.is_subset(&documented.labels),
                "{process}: {name} has the labels {:?}",
                metric.labels
            );
            let kept = all.entry(name).or_insert_with(|| metric.clone());
            kept.labels.extend(metric.labels);
        }
    }
    all
}

/// What only services show that these stories do not run.
const ELSEWHERE: [&str; 1] = ["son1k_scaling_"];

fn assert_whole(seen: &Metrics, when: &str) {
    for (name, metric) in documented() {
        if ELSEWHERE.iter().any(|beginning| name.starts_with(beginning)) {
            continue;
        }
        let shown = seen.get(&name).unwrap_or_else(|| panic!("{name} is shown by nobody {when}"));
        assert_eq!(shown.labels, metric.labels, "the labels of {name} {when}");
    }
}

async fn what_is_shown_is_what_is_documented(mode: Mode) {
    let app = TestApp::in_mode(mode).start().await;
    assert_whole(&compare(&app.metrics().await), "before anything happened");

    app.upstream.behaves(json!({"render_seconds": {"min": 0.2, "max": 0.2}})).await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = customer.submits_many(8).await;
    for id in ids {
        customer.follows(id).await;
    }
    app.upstream.behaves(json!({"fail": [{"kind": "rejected", "probability": 1.0}]})).await;
    let failed = customer.submits("refused").await;
    customer.follows(failed.id).await;
    until("the last end is counted, and the books are added up by themselves", Duration::from_secs(30), async || {
        let pages = app.metrics().await;
        let counted = |line: &str| {
            line.starts_with("son1k_generations_finished_total{outcome=\"failed\"") && line.ends_with(" 1")
        };
        let verified =
            |line: &str| line.starts_with("son1k_ledger_verified_timestamp_seconds") && !line.ends_with(" 0");
        let some = |says: &dyn Fn(&str) -> bool| pages.iter().any(|(_, page)| page.lines().any(says));
        (some(&counted) && some(&verified)).then_some(())
    })
    .await;

    let pages = app.metrics().await;
    assert_whole(&compare(&pages), "after work");
    let total = |beginning: &str| -> f64 {
        let lines = pages.iter().flat_map(|(_, page)| page.lines()).filter(|line| line.starts_with(beginning));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    let ended = "son1k_generations_finished_total{outcome=";
    assert_eq!(total(&format!("{ended}\"succeeded\"")), 8.0);
    assert_eq!(total(&format!("{ended}\"failed\"")), 1.0);
    assert_eq!(total("son1k_generation_wait_seconds_count"), 9.0);
    assert_eq!(total("son1k_ledger_discrepancies"), 0.0);
    for (process, page) in &pages {
        let series = page.lines().filter(|line| !line.starts_with('#')).count();
        report(&format!("{process}: {series} series"));
        for id in ["gen_", "acc_", "key_", "tok_", "127.0.0.1"] {
            assert!(!page.contains(id), "{process} has {id} in a metric");
        }
        for (name, _) in shown(page) {
            let values = page.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
            assert!(values <= VALUES_MOST * 4, "{process}: {name} has {values} series");
        }
    }
    app.stops().await;
}

#[tokio::test]
async fn embedded_what_is_shown_is_what_is_documented() {
    what_is_shown_is_what_is_documented(Mode::Embedded).await;
}

#[tokio::test]
async fn production_what_is_shown_is_what_is_documented() {
    what_is_shown_is_what_is_documented(Mode::Production).await;
}
