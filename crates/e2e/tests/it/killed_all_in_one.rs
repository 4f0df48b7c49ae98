//! `kill -9` of `son1k up` with generations in every stage: started again, it ends every one of them, once.

use crate::system::{TestApp, until};
use domain::state::{Stage, Status};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;

const COUNT: usize = 200;
const SLOTS: usize = 10;

#[tokio::test]
async fn all_200_succeed_and_what_renders_is_not_submitted_again() {
    let mut app = TestApp::embedded().setting("GENERATION_CONCURRENCY", &SLOTS).start().await;
    // Slow enough that all stages are there at once: 10 slots of 0.25 s start 40 a second, renders take 2 s.
    app.upstream.behaves(json!({"render_seconds": {"min": 2, "max": 2}, "latency_ms": 250})).await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = customer.submits_many(COUNT).await;
    until("every stage at once", Duration::from_secs(30), async || {
        let queue = app.operator.queue().await;
        let done = customer.lists(Some(Status::Succeeded)).await.len();
        (queue.waiting > 0 && queue.active > 0 && queue.rendering > 0 && done > 0).then_some(())
    })
    .await;
    let rendering: HashSet<_> = customer
        .lists(Some(Status::Processing))
        .await
        .into_iter()
        .filter(|generation| generation.stage == Some(Stage::Rendering))
        .map(|generation| generation.id)
        .collect();
    app.kills("son1k").await;
    assert!(!rendering.is_empty());

    app.starts_again().await;
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    customer.has_all_of(&ids).await;
    let submissions = app.upstream.submissions().await;
    let twice: HashSet<_> = submissions.iter().filter(|(_, count)| **count > 1).map(|(key, _)| key.clone()).collect();
    for id in &rendering {
        assert_eq!(submissions[&id.to_string()], 1, "{id} was rendering and must not be submitted again");
    }
    // A slot is free once the upstream has answered; that it renders may be on its way to the disk then.
    assert!(
        twice.len() <= 2 * SLOTS,
        "only what was being submitted or written down may be submitted again: {twice:?}"
    );
    app.operator.proves_the_books().await;
    app.stops().await;
}
