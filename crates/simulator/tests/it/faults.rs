//! Every kind of fault, as a client meets it.

use crate::upstream::Upstream;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

async fn scripted(kind: &str) -> Upstream {
    let upstream = Upstream::start();
    let rule = json!({"kind": kind, "probability": 1, "match": "doomed"});
    assert_eq!(upstream.script(json!({"fail": [rule]})).await.status(), StatusCode::OK);
    upstream
}

#[tokio::test]
async fn refusals_hit_the_prompts_they_name_and_no_others() {
    for (kind, status) in [
        ("rejected", StatusCode::UNPROCESSABLE_ENTITY),
        ("unauthorized", StatusCode::UNAUTHORIZED),
        ("out_of_credit", StatusCode::PAYMENT_REQUIRED),
        ("rate_limited", StatusCode::TOO_MANY_REQUESTS),
        ("server_error", StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let upstream = scripted(kind).await;
        let answer = upstream.order("t", None, json!({"prompt": "a doomed song"})).await.unwrap();
        assert_eq!(answer.status(), status, "{kind}");
        assert_eq!(answer.headers().contains_key("retry-after"), kind == "rate_limited");
        upstream.generate("t", "a good song").await;
        let log = upstream.log().await;
        assert_eq!(log[0]["fault"], kind);
        assert_eq!(log[0]["status"], status.as_u16());
        assert_eq!(log[0]["upstream_id"], Value::Null);
        assert_eq!(log[1]["fault"], Value::Null);
    }
}

#[tokio::test]
async fn a_token_can_be_named_and_then_fails_on_every_call() {
    let upstream = scripted("unauthorized").await;
    for path in ["/me", "/status/sim_x"] {
        assert_eq!(upstream.get("doomed-token", path).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(upstream.get("fine-token", "/me").await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_reset_closes_the_connection_without_an_answer() {
    let upstream = scripted("reset").await;
    for _ in 0..20 {
        let error = upstream.order("t", None, json!({"prompt": "doomed"})).await.unwrap_err();
        assert!(!error.is_timeout(), "{error:?}");
    }
    let accepted = upstream.log().await.iter().filter(|entry| entry["upstream_id"].is_string()).count();
    assert!((1..20).contains(&accepted), "some broke before the order was taken and some after: {accepted}");
}

#[tokio::test]
async fn a_hang_answers_nothing_and_its_key_finds_the_render_afterwards() {
    let upstream = scripted("hang").await;
    {
        let mut hanging = std::pin::pin!(upstream.order("t", Some("gen_1"), json!({"prompt": "doomed"})));
        tokio::select! {
            answer = &mut hanging => panic!("{answer:?}"),
            () = async { while upstream.log().await.is_empty() {} } => {}
        }
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut hanging).await.is_err());
    }
    upstream.script(json!({"fail": []})).await;
    let answer = upstream.order("t", Some("gen_1"), json!({"prompt": "doomed"})).await.unwrap();
    let id = answer.json::<Value>().await.unwrap()["id"].clone();
    let log = upstream.log().await;
    assert_eq!((&log[0]["status"], &log[0]["upstream_id"]), (&Value::Null, &id));
    // Whoever still hangs does not hold up the shutdown.
    upstream.script(json!({"fail": [{"kind": "hang", "probability": 1}]})).await;
    let http = upstream.http.clone();
    let pending = http.get(format!("{}/me", upstream.url)).bearer_auth("t").send();
    let (_, stopped) = tokio::join!(pending, tokio::time::timeout(Duration::from_secs(5), upstream.stop()));
    stopped.unwrap();
}

#[tokio::test]
async fn a_slow_drip_starts_and_does_not_come_to_an_end() {
    let upstream = scripted("slow_drip").await;
    let mut answer = upstream.order("t", None, json!({"prompt": "doomed"})).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.chunk().await.unwrap().unwrap().as_ref(), b"{");
    assert!(tokio::time::timeout(Duration::from_millis(300), answer.bytes()).await.is_err());
}

#[tokio::test]
async fn a_failed_render_is_accepted_and_fails_at_its_end() {
    let upstream = scripted("render_failed").await;
    let id = upstream.generate("t", "doomed").await;
    let status = upstream.status(&id).await;
    assert_eq!(status["status"], "failed");
    assert!(status["error"].is_string());
    let audio = upstream.http.get(format!("{}/audio/{id}.wav", upstream.url)).send().await.unwrap();
    assert_eq!(audio.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn shares_of_faults_are_as_scripted() {
    let upstream = Upstream::start();
    let rules = json!([{"kind": "rate_limited", "probability": 0.3}, {"kind": "server_error", "probability": 0.1}]);
    upstream.script(json!({"fail": rules})).await;
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..500 {
        let answer = upstream.order("t", None, json!({"prompt": "p"})).await.unwrap();
        *counts.entry(answer.status().as_u16()).or_insert(0) += 1;
    }
    assert!((100..200).contains(&counts[&429]), "{counts:?}");
    assert!((20..90).contains(&counts[&500]), "{counts:?}");
}
