//! The heartbeats of gateways, on PostgreSQL.

use crate::database::Database;
use domain::ids::GatewayId;
use domain::ports::{Gateways, LedgerClock};
use std::sync::Arc;
use std::time::Duration;

async fn fresh() -> (Arc<dyn Gateways>, impl Future<Output = ()>) {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    (ledger.clone(), async move {
        ledger.close().await;
        database.drop().await;
    })
}

conformance::gateways_suite!(crate::gateways::fresh());

#[tokio::test]
async fn who_has_been_silent_for_long_leaves_no_row() {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let mut connection = database.connection().await;
    sqlx::query(
        "insert into gateways select gen_random_uuid(), now() - interval '2 minutes' from generate_series(1, 40)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let lease = Duration::from_secs(10);
    let mut beating = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let ledger = ledger.clone();
        let gateway = GatewayId::new(ledger.now(), rand::random());
        beating.spawn(async move { ledger.beat(gateway, lease).await.unwrap() });
    }
    let counts = beating.join_all().await;
    assert!(counts.iter().all(|count| (1..=4).contains(count)), "{counts:?}");
    let rows: i64 = sqlx::query_scalar("select count(*) from gateways").fetch_one(&mut connection).await.unwrap();
    assert_eq!(rows, 4);
    ledger.close().await;
    database.drop().await;
}
