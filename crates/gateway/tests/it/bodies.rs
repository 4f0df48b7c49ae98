//! What is made of bodies, headers and queries that break rules; hostile ones go over raw sockets.

use crate::app::{Actor, App};
use domain::account::Overrides;
use domain::tier::Tier;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn places(customer: &Actor, body: &str) -> Vec<String> {
    let answer = customer.post("/v1/generations").raw(body).send().await;
    answer.is_problem(422, "validation_failed");
    answer.places()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_broken_field_is_named_and_no_value_is_repeated() {
    let app = App::start().await;
    let customer = app.rich().await;
    assert_eq!(places(&customer, "{}").await, ["/prompt"]);
    assert_eq!(places(&customer, r#"{"prompt":null}"#).await, ["/prompt"]);
    assert_eq!(places(&customer, r#"{"prompt":7}"#).await, ["/prompt"]);
    assert_eq!(places(&customer, "[]").await, [""]);
    assert_eq!(places(&customer, "7").await, [""]);
    assert_eq!(places(&customer, r#"{"prompt":"a\u0000b"}"#).await, ["/prompt"]);
    assert_eq!(places(&customer, r#"{"prompt":"x","duration_seconds":1e999}"#).await, ["/duration_seconds"]);
    assert_eq!(places(&customer, r#"{"prompt":"x","duration_seconds":1.5}"#).await, ["/duration_seconds"]);
    assert_eq!(places(&customer, r#"{"prompt":"x","duration_seconds":-1e300}"#).await, ["/duration_seconds"]);
    assert_eq!(
        places(&customer, r#"{"prompt":"x","webhook":{"url":"http://x"},"a~/b":1}"#).await,
        ["/webhook", "/a~0~1b"]
    );
    let all = r#"{"prompt":" ","title":[],"style":{},"lyrics":1,"instrumental":"yes","duration_seconds":0,"quality":"secret-value","metadata":{"a":1,"b":null}}"#;
    let answer = customer
        .post("/v1/generations")
        .raw(all)
        .header("cancel-after", "soon")
        .header("prefer", "wait=x")
        .header("idempotency-key", "a b")
        .send()
        .await;
    answer.is_problem(422, "validation_failed");
    let mut named = answer.places();
    named.sort();
    assert_eq!(
        named,
        [
            "/duration_seconds",
            "/instrumental",
            "/lyrics",
            "/metadata/a",
            "/metadata/b",
            "/prompt",
            "/quality",
            "/style",
            "/title",
            "Cancel-After",
            "Idempotency-Key",
            "Prefer",
        ]
    );
    assert!(!answer.text.contains("secret-value"));
    customer.post("/v1/generations").raw(r#"{"prompt":"x","duration_seconds":60.0,"title":null}"#).send().await.is(202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_json_is_malformed() {
    let app = App::start().await;
    let customer = app.rich().await;
    let deep = format!(r#"{{"prompt":{}{}}}"#, "[".repeat(32), "]".repeat(32));
    let bodies: [&[u8]; 11] = [
        b"",
        b"{",
        b"{\"prompt\":\"a\",\"prompt\":\"b\"}",
        b"{\"prompt\":\"\xff\"}",
        b"{\"prompt\":\"\\ud800\"}",
        b"{\"prompt\":\"\\udc00x\"}",
        b"{\"prompt\":\"x\"} {}",
        b"\xef\xbb\xbf{\"prompt\":\"x\"}",
        b"{\"prompt\":\"x\",}",
        b"{\"prompt\":NaN}",
        deep.as_bytes(),
    ];
    for body in bodies {
        let answer = customer.post("/v1/generations").raw(body).send().await;
        answer.is_problem(400, "malformed_json");
    }
    let fine = format!(r#"{{"prompt":{}{}}}"#, "[".repeat(31), "]".repeat(31));
    assert_eq!(places(&customer, &fine).await, ["/prompt"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_and_sizes_are_judged_before_the_content() {
    let app = App::start().await;
    let customer = app.rich().await;
    let body = r#"{"prompt":"rain"}"#;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "json",
        "application/problem+json",
    ] {
        let call = customer.post("/v1/generations");
        let answer = crate::app::Call(call.0.header("content-type", kind).body(body)).send().await;
        answer.is_problem(415, "unsupported_media_type");
    }
    crate::app::Call(customer.post("/v1/generations").0.body(body))
        .send()
        .await
        .is_problem(415, "unsupported_media_type");
    customer
        .post("/v1/generations")
        .raw(body)
        .header("content-encoding", "gzip")
        .send()
        .await
        .is_problem(415, "unsupported_media_type");
    for kind in ["application/json", "Application/JSON; charset=UTF-8"] {
        let call = customer.post("/v1/generations");
        crate::app::Call(call.0.header("content-type", kind).body(body)).send().await.is(202);
    }
    let filler = " ".repeat(64 * 1024 - body.len());
    customer.post("/v1/generations").raw(format!("{body}{filler}")).send().await.is(202);
    customer.post("/v1/generations").raw(format!("{body}{filler} ")).send().await.is_problem(413, "payload_too_large");
    // The same without an announced length.
    let (head, rest) = (Ok::<_, std::io::Error>(format!("{body}{filler}")), Ok(" ".to_owned()));
    let chunks = reqwest::Body::wrap_stream(futures::stream::iter([head, rest]));
    let call = customer.post("/v1/generations").header("content-type", "application/json");
    crate::app::Call(call.0.body(chunks)).send().await.is_problem(413, "payload_too_large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_and_paths_that_are_not_there() {
    let app = App::start().await;
    let customer = app.rich().await;
    let answer = customer.call(Method::PUT, "/v1/generations").send().await;
    answer.is_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD, POST"));
    let answer = customer.get("/v1/generations/gen_01h455vb4pex5vsknk084sn02q/cancel").await;
    answer.is_problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    customer.call(Method::OPTIONS, "/v1/account").send().await.is_problem(405, "method_not_allowed");
    for path in ["/v1/nothing", "/v1/account/", "/v1//account", "/v1/webhooks"] {
        customer.get(path).await.is_problem(404, "not_found");
    }
    let head = customer.call(Method::HEAD, "/v1/account").send().await;
    head.is(200);
    assert!(head.text.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_are_named_by_parameter() {
    let app = App::start().await;
    let customer = app.rich().await;
    let answer = customer
        .get("/v1/generations?limit=0&cursor=nonsense&status=done&created_after=yesterday&created_before=2026-13-01T00:00:00Z")
        .await;
    answer.is_problem(422, "validation_failed");
    assert_eq!(answer.places(), ["status", "created_after", "created_before", "limit", "cursor"]);
    for query in ["limit=101", "limit=-1", "limit=%2B1", "limit=1&limit=2", "limit=", "cursor="] {
        customer.get(&format!("/v1/generations?{query}")).await.is_problem(422, "validation_failed");
    }
    customer.get("/v1/generations?created_after=2026-01-01T00:00:00%2B02:00&anything=else").await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_tier_allows_is_named() {
    let app = App::start().await;
    let customer = app.customer(Tier::Free).await;
    let body = json!({"prompt": "rain", "duration_seconds": 61, "quality": "high"});
    let answer = customer.post("/v1/generations").json(&body).send().await;
    answer.is_problem(422, "tier_limit_exceeded");
    assert_eq!(answer.places(), ["/duration_seconds", "/quality"]);
    // An override of other limits raises none of these.
    let overrides = Overrides { requests_per_minute: Some(1_000), ..Overrides::default() };
    let customer = app.customer_with(Tier::Enterprise, overrides).await;
    let body = json!({"prompt": "rain", "duration_seconds": 600, "quality": "enterprise"});
    customer.post("/v1/generations").json(&body).send().await.is(202);
}

/// Sends raw bytes, and reads until the gateway closes.
async fn until_closed(app: &App, sent: &str) -> (String, Duration) {
    let mut socket = TcpStream::connect(app.address).await.unwrap();
    let began = Instant::now();
    socket.write_all(sent.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), socket.read_to_end(&mut heard)).await;
    closed.expect("the connection stays open").ok();
    (String::from_utf8_lossy(&heard).into_owned(), began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_heads_and_bodies_are_closed() {
    let app = App::start().await;
    let customer = app.rich().await;
    let key = customer.key.as_deref().unwrap();
    let head = format!(
        "POST /v1/generations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
    );
    let stalled_body = format!("{head}content-length: 100\r\n\r\n{{\"prompt\":");
    let no_key = "POST /v1/generations HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
    let (head, body, refused) = tokio::join!(
        until_closed(&app, "GET /v1/account HTTP/1.1\r\nhost: x\r\n"),
        until_closed(&app, &stalled_body),
        until_closed(&app, no_key),
    );
    // 5 s for a head, 8 s and one of lingering for a body; the rest is a busy machine's.
    assert!(head.1 < Duration::from_secs(20), "{head:?}");
    assert!(
        body.1 < Duration::from_secs(20) && body.0.contains("408") && body.0.contains("request_timeout"),
        "{body:?}"
    );
    assert!(refused.1 < Duration::from_secs(20) && refused.0.contains("401"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_ids_come_back_and_cannot_forge_a_line() {
    let app = App::start().await;
    let stranger = app.stranger();
    let own = stranger.call(Method::GET, "/healthz").header("x-request-id", "Run-7_a.b:c").send().await;
    assert_eq!(own.header("x-request-id"), Some("Run-7_a.b:c"));
    for forged in ["a b", "a\tb", &"x".repeat(129), "{}"] {
        let answer = stranger.call(Method::GET, "/healthz").header("x-request-id", forged).send().await;
        assert_eq!(answer.header("x-request-id").map(str::len), Some(32), "{forged}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_origins_get_in_only_where_they_are_named() {
    let preflight = |actor: Actor| async move {
        actor
            .call(Method::OPTIONS, "/v1/generations")
            .header("origin", "https://app.example")
            .header("access-control-request-method", "POST")
            .send()
            .await
    };
    let closed = App::start().await;
    assert_eq!(preflight(closed.stranger()).await.header("access-control-allow-origin"), None);
    let open = App::with(|settings| settings.cors_allowed_origins = vec!["https://app.example".into()]).await;
    let answer = preflight(open.stranger()).await;
    answer.is(204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    let other = open.stranger().call(Method::GET, "/healthz").header("origin", "https://evil.example").send().await;
    assert_eq!(other.header("access-control-allow-origin"), None);
}
