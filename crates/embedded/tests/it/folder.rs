//! What only this ledger promises: one process a folder, and everything still there when it is opened again.

use crate::ledger::{fixture, opened};
use domain::page::PageRequest;
use domain::ports::accounts::AccountFilter;
use domain::ports::work::Renewal;
use domain::ports::{Accounts, LedgerClock, Probe};
use domain::state::Status;
use domain::tier::{Tier, Tiers};
use embedded::{Ledger, OpenError, Settings};

#[tokio::test]
async fn a_second_opening_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = opened(&folder).await;
    let settings = || Settings { data_dir: folder.path().join("data"), tiers: Tiers::default() };
    let refused = Ledger::open(settings()).await.err();
    assert!(matches!(&refused, Some(OpenError::InUse { .. })), "{refused:?}");
    assert!(refused.unwrap().to_string().contains("in use by another process"));
    assert_eq!(first.check().await, Ok(()));
    first.close().await;
    assert!(first.check().await.is_err());
    Ledger::open(settings()).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = Ledger::open(Settings { data_dir: file.clone(), tiers: Tiers::default() }).await.err().unwrap();
    assert!(refused.to_string().contains(&file.display().to_string()), "{refused}");
}

/// Dropping the ledger without closing it is what a killed process leaves behind, so far as a test can be one.
#[tokio::test]
async fn everything_is_there_again_and_what_was_held_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = opened(&folder).await;
    let before = ledger.now();
    let (waiting, submitting, rendering, worker_id) = {
        let at = fixture(&ledger);
        let customer = at.customer(Tier::Pro).await;
        let worker = at.worker().await;
        customer.submit_many(3).await;
        let rendering = worker.render_one().await.held.id;
        let submitting = worker.claim_one().await.held.id;
        let waiting = worker.claim_one().await;
        worker.put_back(waiting.held, std::time::Duration::ZERO, false).await;
        (waiting.held.id, submitting, rendering, worker.id)
    };
    drop(ledger);

    let ledger = opened(&folder).await;
    assert!(ledger.now() >= before);
    let at = fixture(&ledger);
    assert_eq!(at.seen(rendering).await.status, Status::Processing);
    assert_eq!(ledger.list(&AccountFilter::default(), PageRequest::default()).await.unwrap().items.len(), 1);
    // The old worker is dead, whatever its lease said; the new one takes over without waiting.
    let lease = conformance::fixture::LONG_LEASE;
    let renewal = at.work.renew(worker_id, lease, domain::ports::work::Load::default()).await.unwrap();
    assert_eq!(renewal, Renewal::Lost);
    let worker = at.worker().await;
    let adopted = worker.adopt().await;
    assert_eq!(adopted.iter().map(|a| a.held.id).collect::<Vec<_>>(), [rendering]);
    assert_eq!(worker.step().await.requeued, 1);
    let claimed = worker.claim(5).await;
    let mut ids: Vec<_> = claimed.iter().map(|c| c.held.id).collect();
    let mut expected = vec![waiting, submitting];
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);
    for held in claimed.iter().map(|c| c.held).chain(adopted.iter().map(|a| a.held)) {
        worker.succeed(held).await;
    }
    at.assert_the_books_add_up().await;
    ledger.close().await;
}
