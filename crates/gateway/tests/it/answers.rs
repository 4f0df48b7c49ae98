//! Every documented answer, as a snapshot: a change here is a change of the product.

use crate::app::{Answer, App, stable};
use domain::tier::Tier;
use reqwest::Method;
use serde_json::json;

macro_rules! snapshot {
    ($name:literal, $answer:expr) => {{
        let answer: Answer = $answer;
        insta::assert_json_snapshot!($name, json!({"status": answer.status.as_u16(), "body": stable(answer.body)}));
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_s_answers() {
    let app = App::start().await;
    let customer = app.customer(Tier::Pro).await;
    let body = json!({
        "prompt": "lofi beat to study to, rain on the window", "title": "Night shift", "style": "lofi", "lyrics": null,
        "instrumental": true, "duration_seconds": 60, "quality": "standard", "metadata": {"order": "A-17"},
    });
    let accepted = customer.post("/v1/generations").json(&body).send().await;
    let id = accepted.id();
    let path = format!("/v1/generations/{id}");
    let mut names: Vec<_> =
        accepted.headers.keys().map(|name| name.as_str().to_owned()).filter(|n| n != "date").collect();
    names.sort();
    insta::assert_json_snapshot!("accepted_headers", names);
    snapshot!("accepted", accepted);
    snapshot!("explain", customer.get(&format!("{path}/explain")).await);
    let mut account = customer.get("/v1/account").await;
    assert!(account.body["rate_limit"]["reset_seconds"].as_u64().unwrap() <= 60);
    account.body["rate_limit"]["reset_seconds"] = 60.into();
    snapshot!("account", account);
    let backstage = app.backstage();
    let worker = backstage.worker().await;
    let claimed = worker.render_one().await;
    snapshot!("rendering", customer.get(&path).await);
    worker.succeed(claimed.held).await;
    snapshot!("succeeded", customer.get(&path).await);
    snapshot!("list", customer.get("/v1/generations").await);
    snapshot!("ledger", customer.get("/v1/account/ledger").await);
    let other = customer.submitted("snow").await;
    snapshot!("canceled", customer.post(&format!("/v1/generations/{other}/cancel")).send().await);
    snapshot!("already_final", customer.post(&format!("{path}/cancel")).send().await);
    snapshot!("not_found", customer.get("/v1/generations/gen_01h455vb4pex5vsknk084sn02q").await);
    snapshot!("unauthenticated", app.stranger().get("/v1/account").await);
    snapshot!("validation_failed", customer.post("/v1/generations").json(&json!({"prompt": 1, "x": 2})).send().await);
    snapshot!("malformed_json", customer.post("/v1/generations").raw("{\"prompt\":").send().await);
    let too_long = json!({"prompt": "rain", "duration_seconds": 600});
    snapshot!("tier_limit_exceeded", customer.post("/v1/generations").json(&too_long).send().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_s_answers() {
    let app = App::start().await;
    let (operator, customer) = (app.operator(), app.customer(Tier::Free).await);
    let made = operator.post("/admin/v1/accounts").json(&json!({"name": "Grace", "tier": "premium"})).send().await;
    snapshot!("admin_account_made", made);
    let account = format!("/admin/v1/accounts/{}", customer.account);
    snapshot!("admin_account", operator.get(&account).await);
    let credits = json!({"amount": 10, "reason": "invoice 9"});
    snapshot!("admin_top_up", operator.post(&format!("{account}/credits")).json(&credits).send().await);
    let mut key = operator.post(&format!("{account}/keys")).json(&json!({"name": "laptop"})).send().await;
    let id = key.body["id"].as_str().unwrap().to_owned();
    for shown in ["key", "prefix"] {
        assert!(key.body[shown].as_str().unwrap().starts_with("son1k_live_"));
        key.body[shown] = "son1k_live_…".into();
    }
    snapshot!("admin_key_made", key);
    let mut revoked = operator.call(Method::DELETE, &format!("{account}/keys/{id}")).send().await;
    revoked.body["prefix"] = "son1k_live_…".into();
    snapshot!("admin_key_revoked", revoked);
    let submitted = customer.submitted("rain").await;
    app.finish_one().await;
    let mut generation = operator.get(&format!("/admin/v1/generations/{submitted}")).await;
    // Its client sent none, so the gateway made one.
    assert_eq!(generation.body["trace_id"].as_str().unwrap().len(), 32);
    generation.body["trace_id"] = "[trace]".into();
    snapshot!("admin_generation", generation);
    let mut queue = operator.get("/admin/v1/queue").await;
    for percentile in ["p50", "p95", "p99"] {
        assert!(queue.body["wait_seconds"][percentile].as_f64().unwrap() >= 0.0);
        assert!(queue.body["upstream_seconds"][percentile].as_f64().unwrap() >= 0.0);
    }
    queue.body["wait_seconds"] = json!({"p50": 0, "p95": 0, "p99": 0});
    queue.body["upstream_seconds"] = queue.body["wait_seconds"].clone();
    snapshot!("admin_queue", queue);
    snapshot!("admin_scaling_untold", operator.get("/admin/v1/scaling").await);
    app.autoscaled().await;
    snapshot!("admin_scaling", operator.get("/admin/v1/scaling").await);
    snapshot!("admin_workers", operator.get("/admin/v1/workers").await);
    snapshot!("admin_pool", operator.get("/admin/v1/tokens/pool").await);
    snapshot!("admin_audit", operator.get("/admin/v1/audit?limit=1").await);
    snapshot!("admin_verify", operator.get("/admin/v1/ledger/verify").await);
    snapshot!("forbidden", customer.get("/admin/v1/queue").await);
}
