//! Tidy tests of what operators see: alerts, their stories and the runbook; boards; the list of metrics and the code.

use crate::telemetry::boards::{boards, panels};
use crate::telemetry::documented::{documented, named, root, series};
use std::collections::{BTreeMap, BTreeSet};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn after<'t>(line: &'t str, key: &str) -> Option<&'t str> {
    line.trim().trim_start_matches("- ").strip_prefix(key).map(str::trim)
}

/// Each alert with the section of the runbook that it names.
fn alerts() -> BTreeMap<String, String> {
    let mut alerts = BTreeMap::new();
    let mut last = String::new();
    for line in read("deploy/prometheus/rules/alerts.yml").lines() {
        if let Some(name) = after(line, "alert:") {
            name.clone_into(&mut last);
            assert!(alerts.insert(last.clone(), String::new()).is_none(), "{name} is there twice");
        } else if let Some(section) = after(line, "runbook:") {
            section.clone_into(alerts.get_mut(&last).unwrap());
        }
    }
    assert!(alerts.len() >= 15, "{alerts:?}");
    alerts
}

fn unknown_metrics(text: &str) -> Vec<String> {
    let known: BTreeSet<String> = documented().iter().flat_map(|(name, metric)| series(name, metric)).collect();
    named(text).difference(&known).cloned().collect()
}

#[test]
fn every_alert_has_a_section_of_the_runbook() {
    let runbook = read("docs/runbook.md");
    let headings: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    for (alert, section) in alerts() {
        assert_eq!(section, format!("docs/runbook.md#{}", alert.to_lowercase()));
        assert!(headings.contains(alert.as_str()), "docs/runbook.md has no section for {alert}");
    }
    let gone: Vec<_> = headings.iter().filter(|name| name.starts_with("Son1k")).collect();
    assert_eq!(gone.len(), alerts().len(), "the runbook has sections of alerts that are none: {gone:?}");
}

#[test]
fn every_alert_has_a_story_in_which_it_fires_and_one_in_which_it_does_not() {
    let (mut fires, mut does_not, mut last) = (BTreeSet::new(), BTreeSet::new(), String::new());
    for line in read("deploy/prometheus/tests/alerts.yml").lines() {
        if let Some(name) = after(line, "alertname:") {
            name.clone_into(&mut last);
        } else if let Some(expected) = after(line, "exp_alerts:") {
            let of = if expected == "[]" { &mut does_not } else { &mut fires };
            of.insert(last.clone());
        }
    }
    let all: BTreeSet<String> = alerts().into_keys().collect();
    assert_eq!(fires, all);
    assert_eq!(does_not, all);
}

#[test]
fn alerts_and_boards_speak_of_metrics_that_there_are() {
    assert_eq!(unknown_metrics(&read("deploy/prometheus/rules/alerts.yml")), Vec::<String>::new());
    assert_eq!(unknown_metrics(&read("deploy/prometheus/tests/alerts.yml")), Vec::<String>::new());
    for (name, board) in boards() {
        for (title, queries) in panels(&board) {
            for query in queries {
                assert_eq!(unknown_metrics(&query), Vec::<String>::new(), "{name}, {title}");
            }
        }
    }
}

#[test]
fn boards_are_provisioned_and_each_panel_has_a_name_of_its_own() {
    let source = read("deploy/grafana/provisioning/datasources/son1k.yml");
    let names: BTreeSet<String> = boards().into_iter().map(|(name, _)| name).collect();
    for needed in ["overview.json", "gateway.json", "worker.json", "token-pool.json", "autoscaler.json"] {
        assert!(names.contains(needed), "{needed}");
    }
    for (name, board) in boards() {
        assert_eq!(board["uid"], format!("son1k-{}", name.trim_end_matches(".json")));
        let panels = panels(&board);
        let titles: BTreeSet<&str> = panels.iter().map(|(title, _)| title.as_str()).collect();
        assert_eq!(titles.len(), panels.len(), "{name} has two panels of one name");
        assert!(panels.iter().all(|(_, queries)| !queries.is_empty()), "{name} has a panel without a query");
        for panel in board["panels"].as_array().unwrap() {
            let uid = panel["datasource"]["uid"].as_str().unwrap();
            assert!(source.contains(&format!("uid: {uid},")), "{name} asks a source that is not provisioned: {uid}");
        }
    }
}

#[test]
fn metrics_of_the_code_are_those_of_the_page() {
    let mut of_the_code = BTreeSet::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("tests") && !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let literals = text.split('"').filter(|word| word.starts_with("son1k_"));
                let word =
                    |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
                // What begins like these is a key, or the console's cookie.
                let key =
                    |word: &&str| ["son1k_live", "son1k_test", "son1k_console"].iter().any(|one| word.starts_with(one));
                of_the_code
                    .extend(literals.filter(word).filter(|found| !key(found) && found.len() > 6).map(str::to_owned));
            }
        }
    }
    let of_the_page: BTreeSet<String> = documented().into_keys().filter(|name| name.starts_with("son1k_")).collect();
    assert_eq!(of_the_code, of_the_page, "docs/metrics.md and the code do not name the same metrics");
}
