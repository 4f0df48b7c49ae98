//! The API's description is the API: its routes, its statuses, its examples.

use crate::app::{Actor, App};
use crate::contract::{self, DOCUMENT, operations};
use domain::ids::GenerationId;
use domain::tier::Tier;
use gateway::Code;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(crate) const EXAMPLES: &str = include_str!("../../src/openapi/examples.json");

#[test]
fn the_document_in_the_repository_is_the_served_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    if kept != format!("{}\n", gateway::document()) {
        let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.json");
        std::fs::write(&fresh, format!("{}\n", gateway::document())).unwrap();
        panic!("the API has changed; if that is meant: cp {} docs/openapi.json", fresh.display());
    }
}

#[test]
fn every_route_is_documented_and_nothing_else_is() {
    let routes: BTreeSet<_> = gateway::routes().into_iter().map(|(method, path)| (path, method.to_owned())).collect();
    let documented: BTreeSet<_> = operations().map(|(path, method, _)| (path, method)).collect();
    assert_eq!(documented, routes);
}

#[test]
fn every_operation_says_all_that_may_happen() {
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations() {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} twice");
        assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{id}");
        let responses = operation["responses"].as_object().unwrap();
        let has = |status: &str| responses.contains_key(status);
        assert!(responses.keys().any(|status| status.starts_with('2')), "{id}");
        assert!(["401", "403", "429", "500", "503"].into_iter().all(has), "{id}");
        assert!(!path.contains('{') || has("404"), "{id}");
        assert!(operation.get("requestBody").is_none() || ["400", "413", "415", "422"].into_iter().all(has), "{id}");
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let parameters = operation["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|parameter| parameter["name"] == name && parameter["in"] == "path"), "{id}");
        }
        let named = |name| operation["parameters"].as_array().into_iter().flatten().any(|p| p["name"] == name);
        let changes = path.starts_with("/admin") && method != "GET";
        assert!(!changes || named("Idempotency-Key"), "{id}");
        for (status, response) in responses {
            let response = contract::resolve(response);
            let Some(content) = response["content"].get("application/problem+json") else { continue };
            let codes = content.pointer("/schema/allOf/1/properties/code/enum").unwrap().as_array().unwrap();
            assert!(!codes.is_empty(), "{id} {status}");
            for name in codes {
                let code = Code::ALL.into_iter().find(|code| code.name() == name).unwrap();
                assert_eq!(code.status().as_str(), status, "{id}: {name}");
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_body_is_closed() {
    fn walk(value: &'static Value, visit: &mut impl FnMut(&'static Value)) {
        visit(value);
        match value {
            Value::Object(map) => map.values().for_each(|value| walk(value, visit)),
            Value::Array(list) => list.iter().for_each(|value| walk(value, visit)),
            _ => {}
        }
    }
    walk(&DOCUMENT, &mut |value| {
        if value["$ref"].is_string() {
            contract::resolve(value);
        }
    });
    assert_eq!(DOCUMENT["openapi"], "3.1.0");
    assert_eq!(DOCUMENT.pointer("/components/securitySchemes/bearer/scheme"), Some(&json!("bearer")));
    for (.., operation) in operations() {
        for content in operation["requestBody"]["content"].as_object().into_iter().flat_map(Map::values) {
            let schema = &content["schema"];
            let bodies = schema["oneOf"].as_array().map_or_else(|| vec![schema], |parts| parts.iter().collect());
            for body in bodies.into_iter().map(contract::resolve).filter(|body| body["type"] != "null") {
                assert_eq!(body["additionalProperties"], false, "{}", operation["operationId"]);
            }
        }
    }
}

/// What the examples' requests are about.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) customer: Actor,
    pub(crate) operator: Actor,
    pub(crate) ended: GenerationId,
    ids: BTreeMap<&'static str, String>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let app = App::start().await;
        let (customer, operator) = (app.customer(Tier::Enterprise).await, app.operator());
        let ended = customer.submitted("lofi beat to study to, rain on the window").await;
        app.finish_one().await;
        let worker = app.backstage().worker().await.id;
        let keys = operator.get(&format!("/admin/v1/accounts/{}/keys", customer.account)).await;
        let key = keys.body["data"][0]["id"].as_str().unwrap().to_owned();
        let tokens = json!({"tokens": [{"secret": "first", "label": "team A"}]});
        let imported = operator.post("/admin/v1/tokens").json(&tokens).send().await;
        let token = imported.body["data"][0]["id"].as_str().unwrap().to_owned();
        app.laid_aside.lays("a ring that no example takes", 1);
        let ids = [
            ("accounts", customer.account.to_string()),
            ("workers", worker.to_string()),
            ("tokens", token),
            ("key", key),
        ];
        Self { app, customer, operator, ended, ids: ids.into() }
    }

    /// The path with ids that are there: what is canceled or explained waits, what is read has ended.
    pub(crate) async fn path(&self, id: &str, template: &str) -> String {
        let mut path = template.to_owned();
        for kind in ["accounts", "workers", "tokens"] {
            if template.contains(&format!("/{kind}/{{id}}")) {
                path = path.replace("{id}", &self.ids[kind]);
            }
        }
        if template.contains("/generations/{id}") {
            let waits = id.starts_with("cancel") || id.starts_with("explain");
            let chosen = if waits { self.customer.submitted("rain").await } else { self.ended };
            path = path.replace("{id}", &chosen.to_string());
        }
        if template.contains("/dead/{id}") {
            path = path.replace("{id}", &self.app.laid_aside.lays(id, 2).to_string());
        }
        if template.contains("{key_id}") {
            let keys = format!("/admin/v1/accounts/{}/keys", self.customer.account);
            let made = self.operator.post(&keys).json(&json!({"name": "laptop"})).send().await;
            path = path.replace("{key_id}", made.body["id"].as_str().unwrap());
        }
        path
    }
}

/// Each documented request is sent; its answer must have the shape of the documented one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_is_a_real_one() {
    let world = World::new().await;
    let recorded: Map<String, Value> = serde_json::from_str(EXAMPLES).unwrap();
    let mut fresh = Map::new();
    let mut differ = Vec::new();
    let mut all: Vec<_> = operations().collect();
    // What is listed must be there first, and a queue that is paused is resumed.
    all.sort_by_key(|(path, method, _)| (method == "DELETE", method == "GET", path.contains("resume"), *path));
    for (template, method, operation) in all {
        let id = operation["operationId"].as_str().unwrap();
        let Some(example) = recorded.get(id) else {
            differ.push(format!("{id} has no example"));
            continue;
        };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let path = world.path(id, template).await;
        let pairs = example["query"].as_object().into_iter().flatten();
        let query: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", text(value))).collect();
        let actor = if template.starts_with("/admin") { &world.operator } else { &world.customer };
        let mut call =
            actor.call(Method::from_bytes(method.as_bytes()).unwrap(), &format!("{path}?{}", query.join("&")));
        for (name, value) in example["headers"].as_object().into_iter().flatten() {
            call = call.header(name, &text(value));
        }
        if let Some(body) = example.get("body") {
            contract::fits(&operation["requestBody"]["content"]["application/json"]["schema"], body);
            call = call.json(body);
        }
        let answer = call.send().await;
        let said = if answer.body.is_null() { json!(answer.text) } else { answer.body.clone() };
        let said = if answer.text.is_empty() { Value::Null } else { said };
        let told = example.get("answer").is_some() != said.is_null() && same_shape(&example["answer"], &said);
        if answer.status.as_u16() != example["status"] || !told {
            differ.push(format!("{id}: {}", answer.status));
        }
        fresh.insert(id.to_owned(), record(example, template, &path, said));
    }
    world.app.stop().await;
    if !differ.is_empty() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples.json");
        std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&fresh).unwrap())).unwrap();
        panic!("examples differ; what was answered is in {}: {differ:#?}", path.display());
    }
    assert_eq!(fresh.len(), recorded.len(), "an example of no operation");
}

/// The exchange as it happened, keys masked.
fn record(example: &Value, template: &str, path: &str, mut said: Value) -> Value {
    let mut exchange = example.clone();
    for (name, value) in template.split('/').zip(path.split('/')) {
        if let Some(name) = name.strip_prefix('{') {
            exchange["path"][name.trim_end_matches('}')] = value.into();
        }
    }
    if let Some(key) = said.get_mut("key") {
        *key = "son1k_live_…".into();
    }
    if !said.is_null() {
        exchange["answer"] = said;
    }
    exchange
}

/// Equal names and kinds all the way down. What may be null may be anything.
fn same_shape(documented: &Value, said: &Value) -> bool {
    match (documented, said) {
        (Value::Object(a), Value::Object(b)) => {
            a.keys().collect::<BTreeSet<_>>() == b.keys().collect::<BTreeSet<_>>()
                && a.iter().all(|(name, value)| same_shape(value, &b[name]))
        }
        (Value::Array(a), Value::Array(b)) => match (a.first(), b.first()) {
            (Some(a), Some(b)) => same_shape(a, b),
            (a, b) => a.is_none() == b.is_none(),
        },
        (Value::Null, _) | (_, Value::Null) => true,
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}
