//! History, keys and results past their bounds, on a running system: they go by themselves, and nothing that a customer has goes with them.

use super::tell;
use crate::system::{TestApp, until};
use domain::state::Status;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};

async fn counted(beside: &mut PgConnection, what: &'static str) -> i64 {
    sqlx::query_scalar(what).fetch_one(beside).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn r1_history_keys_and_results_go_at_their_bounds() {
    let app = TestApp::production()
        .setting("COMPLETED_JOBS_MAX", &20)
        .setting("FAILED_JOBS_MAX", &5)
        .setting("RESULT_RETENTION_DAYS", &7)
        .start()
        .await;
    app.upstream
        .behaves(json!({"render_seconds": {"min": 0.1, "max": 0.1}, "fail": [
            {"kind": "rejected", "probability": 1, "match": "song 1", "calls": ["generate"]},
        ]}))
        .await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = customer.submits_many(100).await;
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    let before = customer.lists(None).await;
    let failed = before.iter().filter(|generation| generation.status == Status::Failed).count();
    assert_eq!((before.len(), failed), (ids.len(), 11));
    // Ten of them were made, and ended, eight days ago; so were their keys.
    let mut beside = PgConnection::connect(app.database_url()).await.unwrap();
    let old: Vec<_> = before.iter().take(10).map(|generation| generation.id.uuid()).collect();
    for statement in [
        "update idempotency_keys set created_at = created_at - interval '8 days' where generation_id = any($1)",
        "update generations set finished_at = finished_at - interval '8 days', created_at = created_at - interval '8 days',
             id = (lpad(to_hex((extract(epoch from now() - interval '8 days') * 1000)::bigint), 12, '0') || substr(replace(id::text, '-', ''), 13))::uuid
         where id = any($1)",
    ] {
        sqlx::query(statement).bind(&old).execute(&mut beside).await.unwrap();
    }
    let begun = Instant::now();
    until("trimmed", Duration::from_secs(150), async || {
        let left = [
            counted(&mut beside, "select count(*) from attempts where outcome = 'succeeded'").await,
            counted(&mut beside, "select count(*) from attempts where outcome = 'failed'").await,
            counted(&mut beside, "select count(*) from idempotency_keys").await,
            counted(&mut beside, "select count(*) from generations").await,
        ];
        (left == [20, 5, 90, 90]).then_some(())
    })
    .await;
    let took = begun.elapsed();
    let after = customer.lists(None).await;
    assert_eq!(after.len(), 90);
    for generation in after {
        assert!(before.contains(&generation), "{generation:?}");
    }
    app.operator.proves_the_books().await;
    tell(
        "R1",
        &format!("100 ended: 20 and 5 tries kept, 10 old results and keys gone within {:.0} s", took.as_secs_f64()),
    );
    drop(beside);
    app.stops().await;
}
