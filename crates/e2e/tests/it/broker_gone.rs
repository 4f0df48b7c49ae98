//! RabbitMQ out of reach in the middle of a run: submissions go on, nothing is lost, and it is found again by itself.

use crate::system::{TestApp, until};
use client::Retries;
use std::time::{Duration, Instant};

/// The gateway notices, and goes on being ready.
async fn says(app: &TestApp, status: &str) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    until(&format!("/readyz says {status}"), Duration::from_secs(30), async || {
        let answer = http.get(format!("{}/readyz", app.url)).send().await.unwrap();
        let ready = answer.status().is_success();
        let said: serde_json::Value = answer.json().await.unwrap();
        // Never for want of its broker; a ledger that a busy machine keeps waiting is another matter.
        assert!(ready || said["checks"]["ledger"]["status"] == "unavailable", "{said}");
        (said["status"] == status).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submissions_go_on_and_nothing_is_lost() {
    let app = TestApp::production().with_a_broker_that_can_be_cut().start().await;
    app.upstream.renders_in(1.0).await;
    let mut customer = app.operator.opens_unlimited_account().await;
    // Each by its first call.
    customer.client = customer.client.with_retries(Retries::NONE);
    let mut ids = customer.submits_many(50).await;

    app.broker().cut();
    says(&app, "degraded").await;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        let sent = Instant::now();
        ids.extend(customer.submits_many(16).await);
        assert!(sent.elapsed() < Duration::from_secs(5), "a submission waits for the ledger, not for the broker");
    }
    // Work is found without a ring.
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    app.broker().heal();
    says(&app, "ok").await;

    ids.extend(customer.submits_many(50).await);
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    customer.has_all_of(&ids).await;
    let submissions = app.upstream.submissions().await;
    assert!(submissions.values().all(|count| *count == 1), "a lost or doubled ring repeats nothing");
    app.operator.proves_the_books().await;
    app.stops().await;
}
