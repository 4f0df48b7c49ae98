//! `/_simulator`: what it refuses, and the log's pages.

use crate::upstream::Upstream;
use futures::StreamExt;
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn a_bad_script_is_refused_with_a_sentence_and_changes_nothing() {
    let upstream = Upstream::start();
    let before: Value = upstream.get("t", "/_simulator").await.unwrap().json().await.unwrap();
    for body in [
        json!({"render_seconds": {"min": 2, "max": 1}}),
        json!({"render_seconds": {"min": -1, "max": 1}}),
        json!({"render_seconds": {"min": 1}}),
        json!({"latency_ms": -5}),
        json!({"latency_ms": 3_600_000}),
        json!({"fail": [{"kind": "sulk", "probability": 1}]}),
        json!({"fail": [{"kind": "reset", "probability": 1.5}]}),
        json!({"fail": [{"kind": "reset"}]}),
        json!({"token_concurrency": 0}),
        json!({"surprise": true}),
        json!([]),
        json!("x"),
    ] {
        let answer = upstream.script(body.clone()).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert!(!answer.json::<Value>().await.unwrap()["error"].as_str().unwrap().is_empty());
    }
    let after: Value = upstream.get("t", "/_simulator").await.unwrap().json().await.unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn the_log_reads_in_pages_that_neither_skip_nor_repeat() {
    let upstream = Upstream::start();
    let calls = futures::stream::iter((0..2_500).map(|_| upstream.get("t", "/me"))).buffer_unordered(64);
    calls.for_each(|answer| async { _ = answer.unwrap() }).await;
    let all = upstream.log().await;
    assert_eq!(all.len(), 2_500);
    let (mut since, mut seen) = (0, Vec::new());
    loop {
        let path = format!("/_simulator/log?since={since}&limit=700");
        let page: Value = upstream.get("t", &path).await.unwrap().json().await.unwrap();
        let entries = page["data"].as_array().unwrap();
        if entries.is_empty() {
            break;
        }
        seen.extend(entries.iter().map(|entry| entry["offset"].as_u64().unwrap()));
        since = page["next"].as_u64().unwrap();
    }
    assert_eq!(seen, (0..2_500).collect::<Vec<_>>());
    assert_eq!(all[0]["call"], "me");
}
