//! Every panel of every board asks a real Prometheus, which scrapes a system at work, and gets an answer; every alert is judged.
//!
//! Without Prometheus on this machine nothing is asked, and the test says so.

use super::documented::root;
use super::prometheus::{Prometheus, installed};
use crate::system::{Mode, TestApp, report, until};
use serde_json::Value;
use std::time::Duration;

/// A panel's title and its queries.
pub(crate) fn panels(board: &Value) -> Vec<(String, Vec<String>)> {
    let panels = board["panels"].as_array().unwrap().iter();
    panels
        .map(|panel| {
            let targets = panel["targets"].as_array().unwrap().iter();
            let queries = targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
            (panel["title"].as_str().unwrap().to_owned(), queries)
        })
        .collect()
}

/// By name, all of them.
pub(crate) fn boards() -> Vec<(String, Value)> {
    let folder = std::fs::read_dir(root().join("deploy/grafana/dashboards")).unwrap();
    let mut boards: Vec<(String, Value)> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    boards.sort_by(|(one, _), (other, _)| one.cmp(other));
    boards
}

/// A process's name without its number is its job.
fn job(name: &str) -> String {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned()
}

#[tokio::test]
async fn production_every_panel_has_an_answer() {
    let Some(executable) = installed() else {
        return report("skipped: prometheus is not installed (Debian, Ubuntu: apt-get install prometheus)");
    };
    let mut app = TestApp::in_mode(Mode::Production).start().await;
    app.starts_autoscaler("autoscaler", &[("SCALING_INTERVAL", "1000")]).await;
    app.upstream.renders_in(0.3).await;
    let targets: Vec<(String, String)> = app.addresses().into_iter().map(|(name, url)| (job(&name), url)).collect();
    let prometheus = Prometheus::start(&executable, app.folder(), &targets).await;
    until("everything is scraped twice", Duration::from_secs(60), async || {
        let twice = prometheus.ask("min(count_over_time(up[1h])) >= 2 and min(up) == 1").await;
        (!twice.is_empty()).then_some(())
    })
    .await;

    let customer = app.operator.opens_unlimited_account().await;
    for id in customer.submits_many(10).await {
        customer.follows(id).await;
    }
    customer.raw(reqwest::Method::GET, "/v1/generations?limit=0").send().await.unwrap();
    // What has just happened is scraped within a second or so, and a rate needs two points of each series.
    until("the end of the last one is scraped", Duration::from_secs(60), async || {
        let ended =
            prometheus.ask("sum(increase(son1k_generations_finished_total{outcome=\"succeeded\"}[1m])) > 0").await;
        (!ended.is_empty()).then_some(())
    })
    .await;

    let (mut asked, mut silent) = (0, Vec::new());
    for (name, board) in boards() {
        for (title, queries) in panels(&board) {
            for query in queries {
                let answer = prometheus.ask(&query.replace("$__rate_interval", "1m")).await;
                asked += 1;
                if answer.is_empty() {
                    silent.push(format!("{name}, {title}: {query}"));
                }
            }
        }
    }
    assert!(asked > 60, "{asked}");
    assert!(silent.is_empty(), "queries without an answer:\n  {}", silent.join("\n  "));

    let alerts = until("every alert is judged", Duration::from_secs(30), async || {
        let alerts = prometheus.alerts().await;
        alerts.iter().all(|(_, health, _)| health == "ok").then_some(alerts)
    })
    .await;
    assert!(alerts.len() >= 15, "{alerts:?}");
    // A machine under test may be short of CPU; nothing else may be wrong with a healthy system.
    let firing = alerts.iter().filter(|(name, _, state)| state == "firing" && name != "Son1kCpuHigh");
    assert_eq!(firing.collect::<Vec<_>>(), Vec::<&(String, String, String)>::new());
    report(&format!("{asked} queries of {} boards and {} alerts", boards().len(), alerts.len()));
    app.stops().await;
}
