//! The document as a judge: whatever a story is answered must be an answer that the document promises.
//!
//! Of JSON Schema this knows what the document uses, patterns left out: schemathesis looks at those. It is stricter in one thing: a
//! property that the document does not name is a drift.

use crate::app::Answer;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::LazyLock;

pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(gateway::document()).unwrap());

/// Every operation with its path and method.
pub(crate) fn operations() -> impl Iterator<Item = (&'static str, String, &'static Value)> {
    DOCUMENT["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(|(method, operation)| (path.as_str(), method.to_uppercase(), operation))
    })
}

pub(crate) fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

/// Whether a path is one of these.
pub(crate) fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let fits = |(part, given): (&&str, &&str)| part == given || (part.starts_with('{') && !given.is_empty());
    template.len() == path.len() && template.iter().zip(&path).all(fits)
}

/// The operation that a request means: a path without parameters goes before one with.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let method = if method == "HEAD" { "GET" } else { method };
    let fitting = operations().filter(|(template, of, _)| of == method && matches(template, path));
    fitting.min_by_key(|(template, ..)| template.matches('{').count()).map(|(.., operation)| operation)
}

/// Fails where the answer is none that the document promises.
#[track_caller]
pub(crate) fn holds(method: &str, path: &str, answer: &Answer) {
    let Some(operation) = operation(method, path) else { return };
    let status = answer.status.as_str();
    let Some(response) = operation["responses"].get(status) else {
        panic!("{method} {path}: {status} is not documented: {}", answer.text);
    };
    let response = resolve(response);
    let named = response["headers"].as_object().cloned().unwrap_or_default();
    for name in answer.headers.keys().filter(|name| ours(name.as_str())) {
        let known = named.keys().any(|known| known.eq_ignore_ascii_case(name.as_str()));
        assert!(known, "{method} {path}: {status} does not document the header {name}");
    }
    let kind = answer.header("content-type").unwrap_or_default();
    let Some(content) = response.get("content") else {
        assert_eq!(answer.text, "", "{method} {path}: {status} documents no body");
        return;
    };
    let Some(content) = content.get(kind) else { panic!("{method} {path}: {status} does not document {kind:?}") };
    if kind.ends_with("json") && method != "HEAD" {
        let mut broken = Vec::new();
        judge(&content["schema"], &answer.body, "", &mut broken);
        assert!(broken.is_empty(), "{method} {path}: {status}: {broken:#?}\n{}", answer.text);
    }
}

/// Fails where the value breaks the schema.
#[track_caller]
pub(crate) fn fits(schema: &'static Value, value: &Value) {
    let mut broken = Vec::new();
    judge(schema, value, "", &mut broken);
    assert!(broken.is_empty(), "{broken:#?}\n{value}");
}

/// Headers that are part of the contract of one call, not of HTTP or of every answer.
pub(crate) fn ours(name: &str) -> bool {
    const NAMED: [&str; 8] = [
        "location",
        "retry-after",
        "etag",
        "link",
        "www-authenticate",
        "idempotency-replayed",
        "preference-applied",
        "x-request-id",
    ];
    NAMED.contains(&name) || name.contains("ratelimit")
}

/// What of `value` breaks the schema.
fn judge(schema: &'static Value, value: &Value, at: &str, broken: &mut Vec<String>) {
    conforms(schema, value, at, broken);
    if let (Value::Object(map), Some(known)) = (value, properties(schema)) {
        let unknown = map.keys().filter(|name| !known.contains(name.as_str()));
        broken.extend(unknown.map(|name| format!("{at}/{name} is not documented")));
    }
}

/// The names of an object's properties; `None` where any name will do.
fn properties(schema: &'static Value) -> Option<BTreeSet<&'static str>> {
    let schema = resolve(schema);
    let mut names = BTreeSet::new();
    let parts = ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|all| schema[all].as_array()).flatten();
    for part in parts.filter(|part| part["type"] != "null") {
        names.extend(properties(part)?);
    }
    match (schema["properties"].as_object(), schema["additionalProperties"].is_object()) {
        (_, true) => None,
        (Some(own), _) => {
            names.extend(own.keys().map(String::as_str));
            Some(names)
        }
        (None, _) => Some(names).filter(|names| !names.is_empty()),
    }
}

fn conforms(schema: &'static Value, value: &Value, at: &str, broken: &mut Vec<String>) {
    let schema = resolve(schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        conforms(part, value, at, broken);
    }
    if let Some(parts) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let mut each = parts.iter().map(|part| {
            let mut broken = Vec::new();
            judge(part, value, at, &mut broken);
            broken
        });
        if each.all(|broken| !broken.is_empty()) {
            broken.push(format!("{at} is none of {parts:?}"));
        }
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_a(value, kind)) {
        broken.push(format!("{at} is not {kinds:?} but {value}"));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        broken.push(format!("{at} is none of {}", schema["enum"]));
    }
    if value.as_f64().zip(schema["minimum"].as_f64()).is_some_and(|(value, least)| value < least) {
        broken.push(format!("{at} is less than {}", schema["minimum"]));
    }
    if let Value::Object(map) = value {
        members(schema, map, at, broken);
    }
    if let (Value::Array(list), Some(items)) = (value, schema.get("items")) {
        list.iter().enumerate().for_each(|(index, item)| judge(items, item, &format!("{at}/{index}"), broken));
    }
}

fn members(schema: &'static Value, map: &Map<String, Value>, at: &str, broken: &mut Vec<String>) {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    broken.extend(required.filter(|name| !map.contains_key(*name)).map(|name| format!("{at}/{name} is missing")));
    for (name, value) in map {
        if let Some(own) = schema["properties"].get(name) {
            judge(own, value, &format!("{at}/{name}"), broken);
        }
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
