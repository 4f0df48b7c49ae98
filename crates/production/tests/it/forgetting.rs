//! What is forgotten after its time. The time is put back by hand, for nobody waits a day.

use crate::database::Database;
use crate::ledger::ports;
use domain::ports::Generations;
use domain::ports::generations::Submitted;
use domain::tier::Tier;
use std::time::Duration;

const FOR_EVER: Duration = Duration::from_secs(90 * 86_400);

/// A key that is a day old says nothing any more, and its row goes, in steps, whatever else is kept.
#[tokio::test]
async fn keys_are_kept_for_a_day() {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let at = ports(&ledger);
    let customer = at.customer(Tier::Pro).await;
    let first = customer.submission_with_key("old", 1);
    customer.try_submit(&first).await;
    customer.try_submit(&customer.submission_with_key("young", 1)).await;
    let mut beside = database.connection().await;
    let older = "update idempotency_keys set created_at = now() - interval '24 hours 1 second' where key = 'old'";
    sqlx::query(older).execute(&mut beside).await.unwrap();

    // Also before anybody has cleared it away.
    let again = customer.submission_with_key("old", 1);
    assert!(matches!(customer.try_submit(&again).await, Submitted::Accepted(made) if made.id == again.id));
    sqlx::query(older).execute(&mut beside).await.unwrap();
    ledger.retain(100, 100, FOR_EVER).await.unwrap();
    let left: Vec<String> =
        sqlx::query_scalar("select key from idempotency_keys").fetch_all(&mut beside).await.unwrap();
    assert_eq!(left, ["young"]);
    at.assert_the_books_add_up().await;
    drop(beside);
    ledger.close().await;
    database.drop().await;
}
