//! Answers in states that one of each does not show, with their values, as snapshots: a change here is a change of the product.

use crate::app::{Answer, App, stable};
use domain::tier::Tier;
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
    let mut names: Vec<_> =
        accepted.headers.keys().map(|name| name.as_str().to_owned()).filter(|n| n != "date").collect();
    names.sort();
    insta::assert_json_snapshot!("accepted_headers", names);
    let mut account = customer.get("/v1/account").await;
    assert!(account.body["rate_limit"]["reset_seconds"].as_u64().unwrap() <= 60);
    account.body["rate_limit"]["reset_seconds"] = 60.into();
    snapshot!("account", account);
    let backstage = app.backstage();
    let worker = backstage.worker().await;
    let claimed = worker.render_one().await;
    snapshot!("rendering", customer.get(&format!("/v1/generations/{id}")).await);
    worker.succeed(claimed.held).await;
    snapshot!("list", customer.get("/v1/generations").await);
    snapshot!("ledger", customer.get("/v1/account/ledger").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_s_answers() {
    let app = App::start().await;
    let (operator, customer) = (app.operator(), app.customer(Tier::Free).await);
    customer.submitted("rain").await;
    app.finish_one().await;
    let mut queue = operator.get("/admin/v1/queue").await;
    for percentile in ["p50", "p95", "p99"] {
        assert!(queue.body["wait_seconds"][percentile].as_f64().unwrap() >= 0.0);
        assert!(queue.body["upstream_seconds"][percentile].as_f64().unwrap() >= 0.0);
    }
    queue.body["wait_seconds"] = json!({"p50": 0, "p95": 0, "p99": 0});
    queue.body["upstream_seconds"] = queue.body["wait_seconds"].clone();
    snapshot!("admin_queue", queue);
    app.autoscaled().await;
    snapshot!("admin_scaling", operator.get("/admin/v1/scaling").await);
}
