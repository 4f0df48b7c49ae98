//! A full run's logs: one JSON object a line, ids by the names of `docs/logging.md`, and nothing of what must never be there.

use super::documented::root;
use crate::system::{Mode, TestApp, until};
use client::admin::{NewAccount, TokenImport};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// What customers and operators send that no log may repeat.
const CANARIES: [&str; 12] = [
    "canary-prompt",
    "canary-title",
    "canary-style",
    "canary-lyrics",
    "canary-metadata",
    "canary-broken-body",
    "canary-upstream-token",
    "canary-address@example.org",
    "son1k_live_canaryKeyThatNobodyHas0",
    "canary-unknown-key",
    "canary-cookie",
    "canary-query",
];

struct Line {
    process: String,
    fields: Map<String, Value>,
    text: String,
}

impl Line {
    fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// What each process has logged. What it says on standard output, in the same file, is for people.
fn lines(app: &TestApp, mode: Mode) -> Vec<Line> {
    let mut lines = Vec::new();
    for (process, log) in app.logs() {
        // A line that is being written is not one yet.
        for text in log.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::trim_end) {
            match serde_json::from_str(text) {
                Ok(Value::Object(fields)) => {
                    lines.push(Line { process: process.clone(), fields, text: text.to_owned() })
                }
                _ => assert!(mode == Mode::Embedded || text.starts_with("ready "), "{process} logged no JSON: {text}"),
            }
        }
    }
    lines
}

/// The words of the table in `docs/logging.md`.
fn vocabulary() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("docs/logging.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

async fn a_full_run_is_told_and_nothing_secret_is(mode: Mode) {
    let app = TestApp::in_mode(mode).setting("LOG_FORMAT", "json").setting("RUST_LOG", "debug").start().await;
    app.upstream.renders_in(0.2).await;
    let account = NewAccount {
        name: "A canary's".into(),
        tier: domain::tier::Tier::Enterprise,
        email: Some("canary-address@example.org".into()),
        overrides: None,
    };
    let account = app.operator.client.admin().create_account(&account).await.unwrap();
    let customer = app.operator.hands_key_to(account.id).await;
    app.operator.client.admin().import_tokens(&[TokenImport::of("canary-upstream-token".to_owned())]).await.unwrap();

    let body = json!({
        "prompt": "canary-prompt", "title": "canary-title", "style": "canary-style", "lyrics": "canary-lyrics",
        "metadata": {"canary-metadata": "canary-metadata"},
    });
    let post = || customer.raw(Method::POST, "/v1/generations").header("cookie", "session=canary-cookie");
    let answer = post().header("x-request-id", "request-of-the-story").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let done: client::Generation = answer.json().await.unwrap();
    customer.follows(done.id).await;
    // What fails is told of in more words, and must not say more.
    let broken =
        post().header("content-type", "application/json").body("{\"canary-broken-body\": ").send().await.unwrap();
    assert_eq!(broken.status(), 400);
    let unknown = post().json(&json!({"prompt": "x", "canary-broken-body": 1})).send().await.unwrap();
    assert_eq!(unknown.status(), 422);
    for key in ["son1k_live_canaryKeyThatNobodyHas0", "canary-unknown-key"] {
        let request = reqwest::Client::new().get(format!("{}/v1/account?canary-query=1", app.url)).bearer_auth(key);
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    for kind in ["server_error", "unauthorized", "reset"] {
        app.upstream.behaves(json!({"fail": [{"kind": kind, "probability": 1.0}]})).await;
        let calls = app.upstream.calls().await.len();
        customer.raw(Method::POST, "/v1/generations").json(&body).send().await.unwrap();
        until("the upstream has failed at it", Duration::from_secs(30), async || {
            (app.upstream.calls().await.len() > calls).then_some(())
        })
        .await;
    }
    app.upstream.behaves(json!({"fail": [{"kind": "rejected", "probability": 1.0}]})).await;
    let failed = customer.submits("canary-prompt").await;
    let failed_line = until("the failure is told of", Duration::from_secs(30), async || {
        let said =
            |line: &Line| line.text("generation_id") == failed.id.to_string() && line.text("message") == "failed";
        lines(&app, mode).into_iter().find(said)
    })
    .await;
    assert_eq!((failed_line.text("level"), failed_line.text("code")), ("INFO", "upstream_rejected"));

    let lines = lines(&app, mode);
    assert!(lines.len() > 20, "{}", lines.len());
    for line in &lines {
        for name in ["timestamp", "level", "target", "message"] {
            assert!(!line.text(name).is_empty(), "a line without {name}: {}", line.text);
        }
        let secret = customer.client_key();
        for canary in CANARIES.iter().chain([&secret.as_str()]) {
            assert!(!line.text.contains(canary), "{} logged {canary}: {}", line.process, line.text);
        }
    }

    // One request, one generation, one trace: in the gateway's words and in the worker's.
    let id = done.id.to_string();
    let of_it: Vec<&Line> = lines.iter().filter(|line| line.text("generation_id") == id).collect();
    let accepted = of_it.iter().find(|line| line.text("request_id") == "request-of-the-story").unwrap();
    let ended = of_it.iter().find(|line| line.text("message") == "succeeded").unwrap();
    assert_eq!(accepted.text("trace_id").len(), 32);
    for line in [accepted, ended] {
        assert_eq!(line.text("account_id"), account.id.to_string(), "{}", line.text);
        assert_eq!(line.text("trace_id"), accepted.text("trace_id"), "{}", line.text);
    }
    if mode == Mode::Production {
        assert!(accepted.process.starts_with("gateway") && ended.process.starts_with("worker"));
    }
    let known = vocabulary();
    let ids = lines.iter().filter(|line| line.text("target").split("::").next().is_some_and(is_ours));
    let ids = ids.flat_map(|line| line.fields.keys()).filter(|name| name.ends_with("_id"));
    let strange: BTreeSet<&String> = ids.filter(|name| !known.contains(*name)).collect();
    assert_eq!(strange, BTreeSet::new(), "ids that docs/logging.md does not know");
    app.stops().await;
}

fn is_ours(target: &str) -> bool {
    root().join("crates").join(target.replace('_', "-")).is_dir()
}

#[tokio::test]
async fn embedded_a_full_run_is_told_and_nothing_secret_is() {
    a_full_run_is_told_and_nothing_secret_is(Mode::Embedded).await;
}

#[tokio::test]
async fn production_a_full_run_is_told_and_nothing_secret_is() {
    a_full_run_is_told_and_nothing_secret_is(Mode::Production).await;
}
