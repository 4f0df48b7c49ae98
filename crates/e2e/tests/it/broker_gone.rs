//! RabbitMQ out of reach in the middle of a run: submissions go on, nothing is lost, and it is found again by itself.

use crate::system::TestApp;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submissions_go_on_and_nothing_is_lost() {
    let app = TestApp::production().with_a_broker_that_can_be_cut().start().await;
    app.upstream.renders_in(1.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let mut ids = customer.submits_many(50).await;

    app.broker().cut();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        let sent = Instant::now();
        ids.extend(customer.submits_many(16).await);
        assert!(sent.elapsed() < Duration::from_secs(5), "a submission waits for the ledger, not for the broker");
    }
    // Work is found without a ring.
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    app.broker().heal();

    ids.extend(customer.submits_many(50).await);
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    customer.has_all_of(&ids).await;
    let submissions = app.upstream.submissions().await;
    assert!(submissions.values().all(|count| *count == 1), "a lost or doubled ring repeats nothing");
    app.operator.proves_the_books().await;
    app.stops().await;
}
