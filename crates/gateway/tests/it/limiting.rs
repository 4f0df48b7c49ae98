//! Limits: exact, told in every answer, and never off.

use crate::app::{App, SYSTEM_KEY};
use domain::ids::GatewayId;
use domain::ports::{Gateways, LedgerClock};
use domain::tier::Tier;
use futures::future::join_all;
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_is_exact_and_told_in_every_answer() {
    let app = App::start().await;
    let customer = app.customer(Tier::Free).await;
    let clock = || domain::ports::LedgerClock::now(app.ledger.as_ref()).timestamp();
    let (before, began) = (clock(), Instant::now());
    let first = customer.get("/v1/account").await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"tier\";q=10;w=60"));
    assert_eq!(first.header("ratelimit"), Some("\"tier\";r=9;t=60"));
    assert_eq!(first.header("x-ratelimit-limit"), Some("10"));
    assert_eq!(first.header("x-ratelimit-remaining"), Some("9"));
    let reset: i64 = first.header("x-ratelimit-reset").unwrap().parse().unwrap();
    let now = clock();
    assert!((before + 58..=now + 61).contains(&reset), "{reset} {before} {now}");
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
    assert!(wait <= 60 && wait + began.elapsed().as_secs() + 1 >= 60, "{wait}");
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
async fn every_answer_to_a_customer_counts_once_and_says_so_but_a_refusal() {
    let app = App::start().await;
    app.with_the_system_account().await;
    let customer = app.customer(Tier::Free).await;
    let submit = |key: &str, body: serde_json::Value| {
        customer.post("/v1/generations").header("idempotency-key", key).json(&body).send()
    };
    let rain = || json!({"prompt": "rain"});
    let answers = [
        (202, submit("k", rain()).await),
        (202, submit("k", rain()).await),
        (422, submit("k", json!({"prompt": "sun"})).await),
        (400, customer.post("/v1/generations").raw("{").send().await),
        (413, customer.post("/v1/generations").raw(vec![b' '; 70_000]).send().await),
        (415, customer.post("/v1/generations").header("content-type", "text/plain").send().await),
        (405, customer.call(reqwest::Method::DELETE, "/v1/account").send().await),
        (404, customer.get("/v1/generations/gen_x").await),
        (200, customer.call(reqwest::Method::HEAD, "/v1/account").send().await),
    ];
    assert_eq!(answers[1].1.header("idempotency-replayed"), Some("true"));
    for (number, (status, answer)) in answers.iter().enumerate() {
        answer.is(*status);
        assert_eq!(answer.header("x-ratelimit-remaining"), Some((9 - number).to_string().as_str()), "{status}");
        assert!(answer.header("ratelimit").is_some() && answer.header("ratelimit-policy").is_some(), "{status}");
    }
    // Not a request of the API of customers.
    let elsewhere = customer.get("/admin/v1/queue").await;
    elsewhere.is_problem(403, "forbidden");
    assert_eq!(elsewhere.header("ratelimit"), None);
    customer.get("/v1/account").await.is(200);
    for _ in 0..3 {
        customer.get("/v1/account").await.is_problem(429, "rate_limited");
    }
    // Who has no limit is told none.
    let system = app.with_key(SYSTEM_KEY);
    for _ in 0..20 {
        let answer = system.get("/v1/account").await;
        answer.is(200);
        assert!(answer.header("ratelimit").is_none() && answer.header("x-ratelimit-limit").is_none());
    }
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

/// Two gateways of one ledger; one limiter is cut off from what they share, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limiter_is_told_how_many_share_and_shown_when_it_is_alone() {
    let app = App::start().await;
    let customer = app.customer(Tier::Free).await;
    let eventually = async |what: &str, wanted: &dyn Fn() -> bool| {
        let end = Instant::now() + Duration::from_secs(15);
        while !wanted() {
            assert!(Instant::now() < end, "{what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = || app.limiter.gateways.load(Ordering::SeqCst);
    eventually("it is told with the first heartbeat", &|| told() == 1).await;
    let other = GatewayId::new(app.ledger.now(), rand::random());
    assert_eq!(app.ledger.beat(other, Duration::from_secs(60)).await.unwrap(), 2);
    eventually("the other one is seen", &|| told() == 2).await;
    // Were the adapter to fail altogether, half the limit of 10 is this gateway's.
    app.limiter.down.store(true, Ordering::SeqCst);
    let answers = join_all((0..20).map(|_| customer.get("/v1/account"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 5);
    assert!(answers.iter().all(|answer| answer.header("ratelimit-policy") == Some("\"tier\";q=10;w=60")));
    app.limiter.down.store(false, Ordering::SeqCst);

    let shown = || prometheus::TextEncoder::new().encode_to_string(&app.registry.gather()).unwrap();
    app.limiter.alone.store(true, Ordering::SeqCst);
    customer.get("/v1/account").await.is(200);
    assert!(shown().contains("son1k_rate_limiter_fallback 1"));
    app.limiter.alone.store(false, Ordering::SeqCst);
    eventually("it is back, though nobody asks", &|| shown().contains("son1k_rate_limiter_fallback 0")).await;
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
