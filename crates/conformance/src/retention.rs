//! Retention: history bounded by count, results by age, and nothing live ever touched.

use crate::fixture::Fixture;
use domain::ports::generations::{Scope, Submitted};
use domain::tier::Tier;
use std::time::Duration;

const A_DAY: Duration = Duration::from_secs(86_400);

async fn retain(at: &Fixture, succeeded: u32, failed: u32, results_for: Duration) -> u64 {
    let mut gone = 0;
    loop {
        match at.generations.retain(succeeded, failed, results_for).await.unwrap() {
            0 => return gone,
            step => gone += step,
        }
    }
}

pub async fn history_is_trimmed_to_the_newest(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    for n in 0..6 {
        let id = customer.submit().await;
        let held = worker.claim_one().await.held;
        if n % 2 == 0 {
            worker.succeed(held).await;
            succeeded.push(id);
        } else {
            worker.fail(held).await;
            failed.push(id);
        }
    }
    assert_eq!(retain(at, 3, 3, A_DAY).await, 0);
    assert_eq!(retain(at, 2, 1, A_DAY).await, 3);
    let mut left = Vec::new();
    for id in succeeded.iter().chain(&failed) {
        left.push(at.generations.attempts(*id).await.unwrap().len());
    }
    assert_eq!(left, [0, 1, 1, 0, 0, 1]);
    // The customers' records outlive the history.
    for id in succeeded.iter().chain(&failed) {
        assert!(at.seen(*id).await.status.is_final());
    }
}

pub async fn old_results_go_and_open_ones_stay(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let worker = at.worker().await;
    let ids = customer.submit_many(5).await;
    let claimed = worker.claim(3).await;
    worker.succeed(claimed[0].held).await;
    worker.fail(claimed[1].held).await;
    customer.cancel(claimed[2].held.id).await;
    let before = customer.credits().await;
    retain(at, 100, 100, A_DAY).await;
    assert_eq!(at.generations.show_many(&ids).await.unwrap().len(), 5);
    // Old at once; but one is still being closed by its worker.
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(retain(at, 100, 100, Duration::ZERO).await, 2);
    let mut left: Vec<_> = at.generations.show_many(&ids).await.unwrap().into_iter().map(|g| g.id).collect();
    left.sort();
    let mut expected = vec![claimed[2].held.id, ids[3], ids[4]];
    expected.sort();
    assert_eq!(left, expected);
    worker.closed(claimed[2].held).await;
    assert_eq!(retain(at, 100, 100, Duration::ZERO).await, 1);
    assert_eq!(at.generations.show(Scope::Everyone, claimed[2].held.id).await.unwrap(), None);
    assert_eq!(customer.credits().await, before);
    at.assert_the_books_add_up().await;
    assert_eq!(worker.claim(5).await.len(), 2);
}

pub async fn recent_keys_still_replay(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let first = customer.submission_with_key("k", 1);
    customer.try_submit(&first).await;
    retain(at, 0, 0, A_DAY).await;
    let again = customer.try_submit(&customer.submission_with_key("k", 1)).await;
    assert!(matches!(again, Submitted::Replayed(generation) if generation.id == first.id));
}
