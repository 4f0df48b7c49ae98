//! Three workers, one killed or frozen half way: nothing is lost, nothing is settled twice, and the credits add up.

use crate::system::{Signal, TestApp, until};
use domain::state::Status;
use std::time::Duration;

const COUNT: usize = 600;

#[tokio::test]
async fn all_600_succeed_and_the_books_add_up() {
    let mut app =
        TestApp::production().setting("LEASE_SECONDS", &5).setting("GENERATION_RATE_LIMIT", &30).start().await;
    app.upstream.renders_in(2.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = customer.submits_many(COUNT).await;
    until("a third is done, and all three have work in their hands", Duration::from_secs(60), async || {
        let queue = app.operator.queue().await;
        let workers = app.operator.client.admin().workers().await.unwrap();
        let busy = workers.iter().filter(|worker| worker.active + worker.rendering > 0).count();
        (queue.waiting + queue.active + queue.rendering < (COUNT * 2 / 3) as u64 && busy == 3).then_some(())
    })
    .await;
    app.kills("worker-2").await;
    assert!(!customer.lists(Some(Status::Queued)).await.is_empty(), "it was in the middle");

    app.operator.sees_the_queue_empty(Duration::from_secs(120)).await;
    customer.has_all_of(&ids).await;
    let submissions = app.upstream.submissions().await;
    let again: usize = submissions.values().map(|count| count - 1).sum();
    // One worker's slots, at worst: what was being submitted when it died. What rendered is resumed.
    assert!(again <= 50, "{again} were submitted again");
    app.operator.proves_the_books().await;
    app.stops().await;
}

/// Longer than its lease: the others adopt what it had, and when it wakes it changes nothing that they finished.
#[tokio::test]
async fn a_worker_that_was_frozen_changes_nothing_when_it_wakes() {
    let lease = Duration::from_secs(5);
    let mut app = TestApp::production().setting("LEASE_SECONDS", &lease.as_secs()).start().await;
    app.upstream.renders_in(3.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = customer.submits_many(150).await;
    until("it renders", Duration::from_secs(20), async || (app.operator.queue().await.rendering > 50).then_some(()))
        .await;
    app.process("worker-1").signal(Signal::Freeze);
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    let ended = customer.lists(None).await;
    app.process("worker-1").signal(Signal::Thaw);
    // It finds out that it is dead, and goes on as a new one.
    let more = customer.submits_many(60).await;
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    for generation in ended {
        assert_eq!(customer.client.generation(generation.id).await.unwrap(), generation);
    }
    customer.has_all_of(&ids.union(&more).copied().collect()).await;
    app.operator.proves_the_books().await;
    app.stops().await;
}
