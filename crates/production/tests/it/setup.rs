//! How a database is brought up to date, and what is refused before the first use.

use crate::database::{Database, PATIENT};
use domain::ports::operators::{Deed, Order, Outcome};
use domain::ports::{Operators, Probe};
use production::{ConnectError, Ledger, Migrated, SchemaError, Settings};
use sqlx::Executor;

#[tokio::test]
async fn a_schema_behind_the_binary_is_refused_until_it_is_migrated() {
    let database = Database::empty().await;
    let refused = Ledger::configured(database.settings(), PATIENT).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Schema(SchemaError::Behind { found: 0, .. })), "{refused}");
    assert!(refused.to_string().contains("son1k migrate"), "{refused}");
    // Several at once, as when every replica runs it at its start: one applies, the others find it done.
    let migrations = futures::future::join_all((0..3).map(|_| production::migrate(&database.url))).await;
    let versions: Vec<_> = migrations.into_iter().map(|migrated| migrated.unwrap().to).collect();
    let again = production::migrate(&database.url).await.unwrap();
    assert!(versions.iter().all(|version| *version == again.to));
    assert_eq!(again, Migrated { from: again.to, to: again.to });
    let ledger = database.ledger().await;
    ledger.check().await.unwrap();
    ledger.close().await;
    // What is one migration short is behind, too; what a newer binary added is not our concern.
    let mut beside = database.connection().await;
    beside.execute("insert into _sqlx_migrations select 9999, 'later', now(), true, '', 0").await.unwrap();
    database.ledger().await.close().await;
    assert_eq!(production::migrate(&database.url).await.unwrap().from, 9999);
    beside.execute("delete from _sqlx_migrations where version = 3").await.unwrap();
    let refused = Ledger::configured(database.settings(), PATIENT).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Schema(SchemaError::Behind { .. })), "{refused}");
    drop(beside);
    database.drop().await;
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_without_the_password() {
    let settings = |url: &str| Settings {
        database_url: url.to_owned().into(),
        pool_min: 0,
        pool_max: 1,
        tiers: domain::tier::Tiers::default(),
    };
    let nobody_listens = "postgres://app:hunter2@127.0.0.1:1/son1k?sslmode=disable";
    for (url, expected) in [(nobody_listens, "out of reach"), ("mysql://app:hunter2@host/son1k", "DATABASE_URL")] {
        let refused = Ledger::connect(settings(url)).await.unwrap_err().to_string();
        assert!(refused.contains(expected) && !refused.contains("hunter2"), "{refused}");
    }
    assert!(!format!("{:?}", settings(nobody_listens)).contains("hunter2"));
}

#[tokio::test]
async fn every_connection_is_bounded_and_named() {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let mut beside = database.connection().await;
    ledger.check().await.unwrap();
    let name: String = sqlx::query_scalar(
        "select application_name from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
         and backend_type = 'client backend' limit 1",
    )
    .fetch_one(&mut beside)
    .await
    .unwrap();
    assert_eq!(name, "son1k");
    // A lock that is not given is refused in time rather than waited for.
    beside.execute("begin").await.unwrap();
    beside.execute("lock table scheduler in access exclusive mode").await.unwrap();
    let asked = std::time::Instant::now();
    let at = crate::ledger::ports(&ledger);
    let deed = Deed { entry: at.an_entry("queue.pause"), key: None, answer: &|_: &Outcome| Vec::new() };
    let refused = ledger.act(&Order::Pause(true), &deed).await.unwrap_err();
    assert!(matches!(refused, domain::ports::StoreError::Unavailable(_)), "{refused}");
    assert!(asked.elapsed() < std::time::Duration::from_secs(8));
    drop(beside);
    ledger.close().await;
    assert!(ledger.check().await.is_err());
    database.drop().await;
}
