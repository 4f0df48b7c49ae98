//! Every row of the contract's table of refusals, with its status and code, in both modes alike. No input gives a 5xx.

use crate::system::{Customer, Mode, TestApp};
use client::{NewGeneration, Submission};
use domain::account::{AccountStatus, Overrides};
use domain::tier::{Quality, Tier};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// What a refusal must be: a problem document with this status and code, and the request's id.
async fn refused(request: RequestBuilder, status: u16, code: &str) -> (reqwest::header::HeaderMap, Value) {
    let answer = request.send().await.unwrap();
    let (found, headers) = (answer.status(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    let problem: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{found} {code}: {text}"));
    assert_eq!((found.as_u16(), &problem["code"]), (status, &json!(code)), "{text}");
    assert_eq!(headers["content-type"], "application/problem+json", "{code}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"], headers["x-request-id"].to_str().unwrap());
    (headers, problem)
}

fn submission(customer: &Customer, body: impl Into<reqwest::Body>) -> RequestBuilder {
    customer.raw(Method::POST, "/v1/generations").header("content-type", "application/json").body(body)
}

async fn bodies(customer: &Customer) {
    let deep = format!("{{\"prompt\":\"p\",\"metadata\":{}{}}}", "[".repeat(40), "]".repeat(40));
    let malformed: [&[u8]; 7] = [
        b"",
        b"{",
        b"{\"prompt\":\"p\"} trailing",
        b"{\"prompt\":\"\xff\xfe\"}",
        b"{\"prompt\":\"\\ud800\"}",
        b"{\"prompt\":\"a\",\"prompt\":\"b\"}",
        deep.as_bytes(),
    ];
    for body in malformed {
        refused(submission(customer, body.to_vec()), 400, "malformed_json").await;
    }
    let long = "x".repeat(3_001);
    for (body, pointer) in [
        (json!({}), "/prompt"),
        (json!({"prompt": "   "}), "/prompt"),
        (json!({"prompt": long}), "/prompt"),
        (json!({"prompt": 7}), "/prompt"),
        (json!({"prompt": "a\u{0}b"}), "/prompt"),
        (json!({"prompt": "p", "surprise": 1}), "/surprise"),
        (json!({"prompt": "p", "webhook": {"url": "https://example.org"}}), "/webhook"),
        (json!({"prompt": "p", "duration_seconds": 0}), "/duration_seconds"),
        (json!({"prompt": "p", "duration_seconds": 601}), "/duration_seconds"),
        (json!({"prompt": "p", "duration_seconds": 1.5}), "/duration_seconds"),
        (json!({"prompt": "p", "quality": "best"}), "/quality"),
        (json!({"prompt": "p", "instrumental": "yes"}), "/instrumental"),
        (json!({"prompt": "p", "metadata": {"a/b": 1}}), "/metadata/a~1b"),
    ] {
        let (_, problem) = refused(submission(customer, body.to_string()), 422, "validation_failed").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
        assert!(!problem.to_string().contains(&long), "a value is never repeated");
    }
    refused(submission(customer, "[]"), 422, "validation_failed").await;
    let large = json!({"prompt": "p", "lyrics": "x".repeat(70_000)}).to_string();
    refused(submission(customer, large), 413, "payload_too_large").await;
    let plain = customer.raw(Method::POST, "/v1/generations").header("content-type", "text/plain").body("p");
    refused(plain, 415, "unsupported_media_type").await;
}

async fn headers_and_queries(customer: &Customer) {
    let prompt = || submission(customer, json!({"prompt": "p"}).to_string());
    for (name, value) in [
        ("Cancel-After", "soon"),
        ("Cancel-After", "1s"),
        ("Cancel-After", "25h"),
        ("Idempotency-Key", ""),
        ("Prefer", "wait=-1"),
    ] {
        let (_, problem) = refused(prompt().header(name, value), 422, "validation_failed").await;
        assert!(problem["errors"][0]["header"].as_str().unwrap().eq_ignore_ascii_case(name), "{problem}");
    }
    for query in ["limit=0", "limit=101", "limit=x", "cursor=nonsense", "status=happy", "created_after=yesterday"] {
        let list = customer.raw(Method::GET, &format!("/v1/generations?{query}"));
        let (_, problem) = refused(list, 422, "validation_failed").await;
        assert_eq!(problem["errors"][0]["parameter"], query.split('=').next().unwrap(), "{problem}");
    }
}

async fn places(app: &TestApp, customer: &Customer) {
    let stranger = app.operator.opens_account(Tier::Pro, None).await.1;
    let theirs = stranger.submits("theirs").await.id;
    for path in [
        "/v1/nothing".to_owned(),
        "/v1/generations/nonsense".to_owned(),
        "/v1/generations/gen_01h455vb4pex5vsknk084sn02q".to_owned(),
        format!("/v1/generations/{theirs}"),
        format!("/v1/generations/{theirs}/events"),
    ] {
        refused(customer.raw(Method::GET, &path), 404, "not_found").await;
    }
    refused(customer.raw(Method::POST, &format!("/v1/generations/{theirs}/cancel")), 404, "not_found").await;
    let (headers, _) = refused(customer.raw(Method::DELETE, "/v1/generations"), 405, "method_not_allowed").await;
    assert!(headers["allow"].to_str().unwrap().contains("POST"));
}

async fn keys(app: &TestApp, customer: &Customer) {
    let anonymous = || {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        http.get(format!("{}/v1/account", app.url))
    };
    let unknown = "son1k_live_00000000000000000000000000000000000000";
    for request in [
        anonymous(),
        anonymous().bearer_auth("nonsense"),
        anonymous().bearer_auth(unknown),
        anonymous().basic_auth("a", Some("b")),
        anonymous().header("authorization", "Bearer"),
    ] {
        let (headers, _) = refused(request, 401, "unauthenticated").await;
        assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    }
    refused(customer.raw(Method::GET, "/admin/v1/queue"), 403, "forbidden").await;

    let (account, suspended) = app.operator.opens_account(Tier::Free, None).await;
    let change = client::admin::AccountChange { status: Some(AccountStatus::Suspended), ..Default::default() };
    app.operator.client.admin().change_account(account.id, &change).await.unwrap();
    crate::system::until("the suspension is in force", std::time::Duration::from_secs(6), async || {
        let answer = suspended.raw(Method::GET, "/v1/account").send().await.unwrap();
        (answer.status() == StatusCode::FORBIDDEN).then_some(())
    })
    .await;
}

async fn tiers_and_credits(app: &TestApp) {
    let free = app.operator.opens_account(Tier::Free, None).await.1;
    for request in [
        NewGeneration { prompt: "p".into(), duration_seconds: Some(61), ..NewGeneration::default() },
        NewGeneration { prompt: "p".into(), quality: Some(Quality::High), ..NewGeneration::default() },
    ] {
        let refused = free.is_refused(&Submission { request, ..Submission::of("p") }).await;
        assert_eq!(refused, (422, "tier_limit_exceeded".to_owned()));
    }

    let quick = Overrides { requests_per_minute: Some(1_000), ..Overrides::default() };
    let used_up = app.operator.opens_account(Tier::Free, Some(quick)).await.1;
    used_up.submits_many(5).await;
    assert_eq!(used_up.is_refused(&Submission::of("p")).await, (402, "monthly_quota_exhausted".to_owned()));

    let poor = app.operator.opens_account(Tier::Free, Some(Overrides { credits_per_month: Some(2), ..quick })).await.1;
    poor.submits_many(2).await;
    assert_eq!(poor.is_refused(&Submission::of("p")).await, (402, "credits_exhausted".to_owned()));

    let again = Submission { idempotency_key: Some("an-order".into()), ..Submission::of("p") };
    let rich = app.operator.opens_unlimited_account().await;
    rich.client.submit(&again).await.unwrap();
    let other = Submission { request: Submission::of("another").request, ..again };
    assert_eq!(rich.is_refused(&other).await, (422, "idempotency_key_reused".to_owned()));
}

async fn rates(app: &TestApp) {
    let free = app.operator.opens_account(Tier::Free, None).await.1;
    for left in (0..10).rev() {
        let answer = free.raw(Method::GET, "/v1/account").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["ratelimit-policy"], "\"tier\";q=10;w=60");
        let state = answer.headers()["ratelimit"].to_str().unwrap();
        assert!(state.starts_with(&format!("\"tier\";r={left};t=")), "{state}");
        assert_eq!(answer.headers()["x-ratelimit-remaining"], left.to_string().as_str());
    }
    let (headers, _) = refused(free.raw(Method::GET, "/v1/account"), 429, "rate_limited").await;
    let wait: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
}

async fn every_row(mode: Mode) {
    let app = TestApp::in_mode(mode).start().await;
    let customer = app.operator.opens_unlimited_account().await;
    bodies(&customer).await;
    headers_and_queries(&customer).await;
    places(&app, &customer).await;
    keys(&app, &customer).await;
    tiers_and_credits(&app).await;
    rates(&app).await;
    assert!(customer.lists(None).await.is_empty(), "a refusal leaves nothing behind");
    app.operator.proves_the_books().await;
    app.stops().await;
}

#[tokio::test]
async fn embedded_every_row() {
    every_row(Mode::Embedded).await;
}

#[tokio::test]
async fn production_every_row() {
    every_row(Mode::Production).await;
}
