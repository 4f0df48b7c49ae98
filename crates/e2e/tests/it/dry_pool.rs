//! A pool that cannot serve: each of its tokens is out of credit. What is submitted waits, says why, and none of it fails.

use crate::system::{Mode, TestApp, until};
use client::PageQuery;
use domain::state::Status;
use serde_json::json;
use std::time::Duration;

/// The last event that the pool's leader has written is this one.
async fn tells(app: &mut TestApp, event: &str) {
    until(event, Duration::from_secs(20), async || {
        let log = app.leader_of_the_pool().log();
        let last = log.lines().rev().find(|line| line.contains("event=\"token_pool."))?;
        last.contains(event).then_some(())
    })
    .await;
}

async fn with_none_usable_generations_wait_and_none_fails(mode: Mode) {
    // No probe finds credit meanwhile: it would bring each token back for a trial.
    let mut app = TestApp::in_mode(mode).setting("HEALTH_CHECK_INTERVAL", &3_600_000).start().await;
    let renders = json!({"min": 0.1, "max": 0.2});
    app.upstream
        .behaves(json!({"render_seconds": renders, "fail": [{"kind": "out_of_credit", "probability": 1}]}))
        .await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = customer.submits_many(80).await;
    let admin = app.operator.client.clone();
    let admin = admin.admin();
    let pool = until("no token is left", Duration::from_secs(60), async || {
        let pool = admin.pool().await.unwrap();
        (pool.usable == 0).then_some(pool)
    })
    .await;
    assert_eq!((pool.status.as_str(), pool.exhausted), ("empty", 60));
    tells(&mut app, "token_pool.low").await;
    let waiting = *ids.iter().next().unwrap();
    until("it says what it waits for", Duration::from_secs(30), async || {
        let told = customer.client.explain(waiting).await.unwrap().waiting_on;
        (told.as_deref() == Some("upstream_tokens")).then_some(())
    })
    .await;
    until("all of them wait", Duration::from_secs(20), async || {
        (app.operator.queue().await.waiting == 80).then_some(())
    })
    .await;
    assert_eq!(customer.lists(Some(Status::Queued)).await.len(), 80, "each waits, none has failed");

    // Topped up, and the operator says so: each token comes back through its trial.
    app.upstream.behaves(json!({"render_seconds": renders, "fail": []})).await;
    for token in admin.tokens(&PageQuery::of(100)).await.unwrap().data {
        admin.reinstate_token(token.id).await.unwrap();
    }
    app.operator.sees_the_queue_empty(Duration::from_secs(120)).await;
    customer.has_all_of(&ids).await;
    assert_eq!(admin.pool().await.unwrap().status, "ok");
    tells(&mut app, "token_pool.well").await;
    app.operator.proves_the_books().await;
    app.stops().await;
}

#[tokio::test]
async fn embedded_with_none_usable_generations_wait_and_none_fails() {
    with_none_usable_generations_wait_and_none_fails(Mode::Embedded).await;
}

#[tokio::test]
async fn production_with_none_usable_generations_wait_and_none_fails() {
    with_none_usable_generations_wait_and_none_fails(Mode::Production).await;
}
