//! An upstream that limits, fails and breaks connections: customers get their songs, or their credit back. The same in both modes.

use crate::system::{Mode, TestApp, until};
use domain::state::Status;
use serde_json::json;
use std::time::Duration;

const COUNT: usize = 80;

async fn most_succeed_and_every_failure_is_refunded_once(mode: Mode) {
    let app = TestApp::in_mode(mode).start().await;
    let customer = app.operator.opens_unlimited_account().await;
    app.upstream
        .behaves(json!({"render_seconds": {"min": 0.2, "max": 1}, "fail": [
            {"kind": "rate_limited", "probability": 0.1},
            {"kind": "server_error", "probability": 0.05},
            {"kind": "reset", "probability": 0.03},
            // Songs 1 and 10 to 19 are refused for what they are.
            {"kind": "rejected", "probability": 1, "match": "song 1", "calls": ["generate"]},
        ]}))
        .await;
    let ids = customer.submits_many(COUNT).await;
    // A generation that is unlucky four times in a row waits half a minute before its fifth attempt.
    app.operator.sees_the_queue_empty(Duration::from_secs(180)).await;
    let all = customer.lists(None).await;
    assert_eq!(all.len(), ids.len());
    let doomed = |prompt: &str| prompt.starts_with("song 1");
    for generation in &all {
        if generation.status == Status::Succeeded {
            assert!(!doomed(&generation.prompt), "{generation:?}");
        } else {
            let code = generation.error.as_ref().unwrap().code.as_str();
            assert_eq!((generation.status, generation.credits.refunded), (Status::Failed, 1), "{generation:?}");
            assert!(doomed(&generation.prompt) && code == "upstream_rejected", "{generation:?}");
        }
    }
    let failed = all.iter().filter(|generation| generation.status == Status::Failed).count();
    let account = customer.client.account().await.unwrap();
    let captured = (COUNT - failed) as i64;
    assert_eq!(account.credits.balance, account.limits.credits_per_month - captured);
    assert_eq!(account.generations.used, captured);
    let submissions = app.upstream.submissions().await;
    let calls: usize = submissions.values().sum();
    assert!(calls <= COUNT * 2, "{calls} submissions for {COUNT} generations");
    app.operator.proves_the_books().await;
    app.stops().await;
}

async fn one_bad_token_costs_no_customer_anything(mode: Mode) {
    let app = TestApp::in_mode(mode).start().await;
    let customer = app.operator.opens_unlimited_account().await;
    app.upstream
        .behaves(json!({"render_seconds": {"min": 0.2, "max": 1}, "fail": [
            {"kind": "unauthorized", "probability": 1, "match": "sim-token-00001"},
        ]}))
        .await;
    let ids = customer.submits_many(100).await;
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    customer.has_all_of(&ids).await;
    until("it is quarantined", Duration::from_secs(10), async || {
        let pool = app.operator.client.admin().pool().await.unwrap();
        (pool.quarantined == 1).then_some(())
    })
    .await;
    let refused =
        app.upstream.calls().await.iter().filter(|call| call.fault.as_deref() == Some("unauthorized")).count();
    assert!((1..=30).contains(&refused), "{refused} calls with a token that is known to be bad");
    app.stops().await;
}

#[tokio::test]
async fn embedded_most_succeed_and_every_failure_is_refunded_once() {
    most_succeed_and_every_failure_is_refunded_once(Mode::Embedded).await;
}

#[tokio::test]
async fn production_most_succeed_and_every_failure_is_refunded_once() {
    most_succeed_and_every_failure_is_refunded_once(Mode::Production).await;
}

#[tokio::test]
async fn embedded_one_bad_token_costs_no_customer_anything() {
    one_bad_token_costs_no_customer_anything(Mode::Embedded).await;
}

#[tokio::test]
async fn production_one_bad_token_costs_no_customer_anything() {
    one_bad_token_costs_no_customer_anything(Mode::Production).await;
}
