//! Callers that give up: a request that times out in the middle of a write leaves it done or undone, never half done, and the writer free.

use crate::ledger::{fixture, opened};
use domain::ids::GenerationId;
use domain::ports::generations::Submitted;
use std::time::Duration;

#[tokio::test]
async fn writes_that_nobody_waits_for_are_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = opened(&folder).await;
    let at = fixture(&ledger);
    let customer = at.customer_of(1_000).await;
    let worker = at.worker().await;
    let mut ids = Vec::<GenerationId>::new();
    for n in 0..120_u64 {
        let submission = customer.submission();
        ids.push(submission.id);
        // From before the first statement to after the commit.
        let patience = Duration::from_micros(n * 40);
        let submit = async { customer.try_submit(&submission).await };
        drop(tokio::time::timeout(patience, submit).await);
        drop(tokio::time::timeout(patience, worker.claim(1)).await);
    }
    // The writer still works. There is one: whom it answers now comes after all that was abandoned, a commit under way included.
    let last = customer.submission();
    assert!(matches!(customer.try_submit(&last).await, Submitted::Accepted(_)));
    ids.push(last.id);
    at.assert_the_books_add_up().await;
    let accepted = at.generations.show_many(&ids).await.unwrap().len();
    let (balance, reserved, used) = customer.credits().await;
    let accepted = i64::try_from(accepted).unwrap();
    assert_eq!((balance, reserved, used), (1_000 - accepted, accepted, accepted));
    ledger.close().await;
}
