//! Calls that are given up half way, and batches that are written and cannot be read again: what is told is what is in the ledger.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::database::{Database, PATIENT};
use crate::ledger::ports;
use domain::ids::GenerationId;
use domain::ports::generations::Submitted;
use domain::ports::{Generations, StoreError, Work};
use production::{Ledger, Settings};
use sqlx::{Executor, PgConnection};
use std::sync::Arc;
use std::time::Duration;

/// Whether it is there, as anybody else sees it.
async fn is_committed(beside: &mut PgConnection, id: GenerationId) -> bool {
    let exists = sqlx::query_scalar("select exists (select from generations where id = $1)");
    exists.bind(id.uuid()).fetch_one(beside).await.unwrap()
}

/// Whoever gives up in the middle of a call leaves no transaction open behind it: what is told afterwards is in the ledger.
#[tokio::test]
async fn a_call_that_is_given_up_leaves_nothing_open() {
    let database = Database::fresh().await;
    let ledger = Ledger::configured(Settings { pool_max: 1, ..database.settings() }, PATIENT).await.unwrap();
    let at = ports(&ledger);
    let customer = at.customer_of(1_000).await;
    let mut beside = database.connection().await;
    for polls in 0..60 {
        let id = customer.submit().await;
        let mut call = Box::pin(customer.cancel(id));
        for _ in 0..polls {
            if futures::poll!(&mut call).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
        let told = customer.submit().await;
        assert!(is_committed(&mut beside, told).await, "accepted and not committed, after {polls} polls of a cancel");
    }
    at.assert_the_books_add_up().await;
    ledger.close().await;
    database.drop().await;
}

/// The only connection goes to somebody else between a batch's commit and the read of what its replays point to.
#[tokio::test]
async fn a_batch_that_was_written_and_cannot_be_read_is_in_doubt() {
    let database = Database::fresh().await;
    let (usual, ledger) = (database.ledger().await, of_one_connection(&database).await);
    let at = ports(&usual);
    let customer = at.customer_of(1_000).await;
    let (mut holder, mut beside) = (database.connection().await, database.connection().await);
    assert!(matches!(customer.try_submit(&customer.submission_with_key("known", 1)).await, Submitted::Accepted(_)));
    let mut in_doubt = None;
    for _ in 0..30 {
        // Whoever asks for the workers holds the connection longer than anybody waits for it.
        holder.execute("begin; lock table workers in access exclusive mode").await.unwrap();
        let fresh = customer.submission();
        let batch = [fresh.clone(), customer.submission_with_key("known", 1)];
        let (told, _) = tokio::join!(ledger.submit(&batch), ledger.workers());
        holder.execute("rollback").await.unwrap();
        match told {
            Err(StoreError::InDoubt(_)) => {
                assert!(is_committed(&mut beside, fresh.id).await);
                in_doubt = Some(batch);
                break;
            }
            Err(StoreError::Unavailable(text)) => assert!(!is_committed(&mut beside, fresh.id).await, "{text}"),
            Err(error) => panic!("{error}"),
            Ok(_) => {}
        }
    }
    let batch = in_doubt.expect("the read fails");
    // As a gateway does: the same batch with the same ids.
    let answers = usual.submit(&batch).await.unwrap();
    assert!(matches!(answers[..], [Submitted::Accepted(_), Submitted::Replayed(_)]), "{answers:?}");
    at.assert_the_books_add_up().await;
    ledger.close().await;
    usual.close().await;
    database.drop().await;
}

/// Which is given at once or not at all, or nearly so.
async fn of_one_connection(database: &Database) -> Arc<Ledger> {
    loop {
        let settings = Settings { pool_max: 1, ..database.settings() };
        if let Ok(ledger) = Ledger::configured(settings, Duration::from_millis(300)).await {
            return ledger;
        }
    }
}
