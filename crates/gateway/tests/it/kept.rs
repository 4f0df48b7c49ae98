//! What is kept of answers, as snapshots: without what the next run would have otherwise, and each problem once, whoever answers it.

use crate::app::{Answer, stable};
use crate::contract;
use crate::declared::Operation;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use uuid::Uuid;

/// Their values are of the run, not of the contract.
const MEASURED: [&str; 10] = [
    "dead",
    "oldest_waiting_seconds",
    "throughput_per_minute",
    "error_rate",
    "p50",
    "p95",
    "p99",
    "reset_seconds",
    "remaining",
    "accounts",
];

/// What is kept of an answer.
fn shown(answer: &Answer) -> Value {
    let mut headers: Vec<_> = answer.headers.keys().map(|name| name.as_str()).collect();
    headers.retain(|name| contract::ours(name) || *name == "content-type");
    headers.sort_unstable();
    let body = if answer.header("content-type") == Some("text/event-stream") {
        events(&answer.text)
    } else {
        answer.body.clone()
    };
    json!({"headers": headers, "body": masked(stable(body))})
}

/// A stream's events, each with what it says.
fn events(text: &str) -> Value {
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let value = value.trim_start();
        Some((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value))))
    };
    let all = text.split("\n\n").filter(|event| !event.is_empty());
    all.map(|event| Value::Object(event.lines().filter_map(field).collect())).collect()
}

/// Lists of rows by their first, and nothing that the next run would have otherwise.
fn masked(value: Value) -> Value {
    let name_of = |(name, value): (String, Value)| {
        let value = match name.as_str() {
            "key" | "prefix" if value.is_string() => {
                let label = value.as_str().unwrap().splitn(3, '_').take(2).collect::<Vec<_>>();
                format!("{}_…", label.join("_")).into()
            }
            "trace_id" if value.as_str().is_some_and(|text| text.len() == 32) => "[trace]".into(),
            name if MEASURED.contains(&name) && value.is_number() => "[number]".into(),
            "data" if value.is_array() => value.as_array().unwrap().iter().take(1).cloned().map(masked).collect(),
            _ => masked(value),
        };
        (name, value)
    };
    match value {
        Value::Object(map) => map.into_iter().map(name_of).collect(),
        Value::Array(list) => list.into_iter().map(masked).collect(),
        Value::String(text) if text.parse::<Uuid>().is_ok() => "[uuid]".into(),
        other => other,
    }
}

/// What was answered, by the names of the snapshots: one for each answer that is no problem, and one for each problem, whoever answers it.
#[derive(Default)]
pub(crate) struct Given {
    answers: BTreeMap<String, Value>,
    problems: BTreeMap<String, Vec<(Value, Vec<&'static str>)>>,
    /// Declared answers that were not had, each with what came instead.
    pub(crate) otherwise: Vec<String>,
}

impl Given {
    pub(crate) fn keep(&mut self, operation: &Operation, status: u16, code: &str, answer: Option<Answer>) {
        let Some(answer) = answer else {
            self.otherwise.push(format!("{} {status} {code}: no way to it is known", operation.id));
            return;
        };
        if (answer.status.as_u16(), answer.code()) != (status, code) {
            self.otherwise.push(format!("{} {status} {code}: {}", operation.id, answer.text));
            return;
        }
        let mut shown = shown(&answer);
        if code.is_empty() {
            self.answers.insert(format!("{}_{status}", operation.id), shown);
            return;
        }
        answer.is_problem(status, code);
        let instance = shown["body"].as_object_mut().unwrap().remove("instance").unwrap();
        assert!(contract::matches(operation.template, instance.as_str().unwrap()), "{}: {instance}", operation.id);
        let alike = self.problems.entry(format!("{status}_{code}")).or_default();
        match alike.iter_mut().find(|(known, _)| *known == shown) {
            Some((_, ids)) => ids.push(operation.id),
            None => alike.push((shown, vec![operation.id])),
        }
    }

    pub(crate) fn into_snapshots(self) -> BTreeMap<String, Value> {
        let mut snapshots = self.answers;
        for (name, alike) in self.problems {
            let with_ids = |(mut problem, mut ids): (Value, Vec<&str>)| {
                ids.sort_unstable();
                problem["of"] = json!(ids);
                problem
            };
            let mut all: Vec<Value> = alike.into_iter().map(with_ids).collect();
            all.sort_by_key(|problem| problem["of"].to_string());
            snapshots.insert(name, all.into());
        }
        snapshots
    }
}

/// The names of the snapshots of a module that are in the repository.
pub(crate) fn kept(module: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| Some(name.strip_prefix(&format!("it__{module}__"))?.strip_suffix(".snap")?.to_owned()))
        .collect()
}
