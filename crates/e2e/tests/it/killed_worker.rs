//! Three workers, one killed half way: nothing is lost, nothing is done for nothing, and the credits add up.

use crate::system::{TestApp, until};
use domain::state::Status;
use std::time::Duration;

const COUNT: usize = 600;

#[tokio::test]
async fn all_600_succeed_and_the_books_add_up() {
    let mut app = TestApp::production().setting("LEASE_SECONDS", 5).setting("GENERATION_RATE_LIMIT", 30).start().await;
    app.upstream.renders_in(2.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = customer.submits_many(COUNT).await;
    until("a third is done", Duration::from_secs(60), async || {
        let queue = app.operator.queue().await;
        (queue.waiting + queue.active + queue.rendering < (COUNT * 2 / 3) as u64).then_some(())
    })
    .await;
    app.kills("worker-2").await;
    assert!(customer.lists(Some(Status::Processing)).await.len() > 1, "it died with work in its hands");

    app.operator.sees_the_queue_empty(Duration::from_secs(120)).await;
    customer.has_all_of(&ids).await;
    let submissions = app.upstream.submissions().await;
    let again: usize = submissions.values().map(|count| count - 1).sum();
    // One worker's slots, at worst: what was being submitted when it died. What rendered is resumed.
    assert!(again <= 50, "{again} were submitted again");
    app.operator.proves_the_books().await;
    app.stops().await;
}
