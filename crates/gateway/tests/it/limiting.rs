//! Limits: exact, told in every answer, and never off.

use crate::app::App;
use domain::tier::Tier;
use futures::future::join_all;
use std::sync::atomic::Ordering;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_is_exact_and_told_in_every_answer() {
    let app = App::start().await;
    let customer = app.customer(Tier::Free).await;
    let first = customer.get("/v1/account").await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"tier\";q=10;w=60"));
    assert_eq!(first.header("ratelimit"), Some("\"tier\";r=9;t=60"));
    assert_eq!(first.header("x-ratelimit-limit"), Some("10"));
    assert_eq!(first.header("x-ratelimit-remaining"), Some("9"));
    let reset: i64 = first.header("x-ratelimit-reset").unwrap().parse().unwrap();
    let now = domain::ports::LedgerClock::now(app.ledger.as_ref()).timestamp();
    assert!((58..=61).contains(&(reset - now)), "{reset} {now}");
    assert_eq!(first.body["rate_limit"]["remaining"], 9);
    // Other answers count and tell, too.
    let unknown = customer.get("/v1/nothing").await;
    assert_eq!(unknown.header("x-ratelimit-remaining"), Some("8"));
    let answers = join_all((0..20).map(|_| customer.get("/v1/account"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 8);
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    refused.is_problem(429, "rate_limited");
    assert!(refused.header("ratelimit").unwrap().starts_with("\"tier\";r=0;t="));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((55..=60).contains(&wait));
    let other = app.customer(Tier::Free).await;
    other.get("/v1/account").await.is(200);
    let text = prometheus::TextEncoder::new().encode_to_string(&app.registry.gather()).unwrap();
    assert!(text.contains("son1k_rate_limited_total{tier=\"free\"} 12"), "{text}");
    assert!(
        text.contains(
            "son1k_http_request_duration_seconds_count{method=\"GET\",route=\"/v1/account\",status=\"429\"} 12"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_limiter_s_answer_the_gateway_counts_itself() {
    let app = App::start().await;
    let customer = app.customer(Tier::Free).await;
    app.limiter.down.store(true, Ordering::SeqCst);
    let answers = join_all((0..30).map(|_| customer.get("/v1/account"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 10);
    assert!(answers.iter().all(|answer| [200, 429].contains(&answer.status.as_u16())));
    let text = prometheus::TextEncoder::new().encode_to_string(&app.registry.gather()).unwrap();
    assert!(text.contains("son1k_rate_limiter_fallback 1"));
    app.limiter.down.store(false, Ordering::SeqCst);
    customer.get("/v1/account").await.is(200);
    let text = prometheus::TextEncoder::new().encode_to_string(&app.registry.gather()).unwrap();
    assert!(text.contains("son1k_rate_limiter_fallback 0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_limited_by_address_and_customers_beside_them_are_not() {
    let app = App::with(|settings| settings.unauthenticated_per_minute = 5).await;
    for _ in 0..5 {
        app.stranger().get("/v1/account").await.is_problem(401, "unauthenticated");
    }
    let refused = app.stranger().get("/admin/v1/queue").await;
    refused.is_problem(429, "rate_limited");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    // Somebody who is not trusted cannot pass for another address.
    let forged = app.stranger().call(reqwest::Method::GET, "/v1/account").header("x-forwarded-for", "203.0.113.9");
    forged.send().await.is_problem(429, "rate_limited");
    app.customer(Tier::Free).await.get("/v1/account").await.is(200);
    app.stranger().get("/healthz").await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_speaks_for_its_clients() {
    let app = App::with(|settings| {
        settings.unauthenticated_per_minute = 1;
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let from = |address: &'static str| {
        app.stranger().call(reqwest::Method::GET, "/v1/account").header("x-forwarded-for", address).send()
    };
    from("203.0.113.1").await.is_problem(401, "unauthenticated");
    from("203.0.113.1").await.is_problem(429, "rate_limited");
    from("203.0.113.2").await.is_problem(401, "unauthenticated");
    // A whole IPv6 network is one client.
    from("2001:db8::1").await.is_problem(401, "unauthenticated");
    from("2001:db8::2").await.is_problem(429, "rate_limited");
}
