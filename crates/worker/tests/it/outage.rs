//! PostgreSQL that loses connections at any moment: nothing is lost, doubled or charged twice.

use crate::database::Database;
use crate::stage::{Stage, script, settings};
use sqlx::Executor;
use std::time::Duration;
use worker::Settings;

/// Row D1: ten backends a second end, whatever they are in the middle of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_end_at_any_moment_lose_nothing() {
    let database = Database::create().await;
    let ledger = database.ledger().await;
    let stage = Stage::on_postgres(&ledger, script(0.3), 20).await;
    let before = stage.usage().await.balance;
    let workers = [stage.worker(settings()), stage.worker(settings())];
    let mut beside = database.connection().await;
    let killing = async {
        for _ in 0..80 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let one = "select pg_terminate_backend(pid) from pg_stat_activity
                       where datname = current_database() and pid <> pg_backend_pid() order by random() limit 1";
            beside.execute(one).await.unwrap();
        }
    };
    let submitting = async {
        let mut ids = Vec::new();
        for _ in 0..60 {
            ids.extend(stage.submit(5).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ids
    };
    let ((), ids) = tokio::join!(killing, submitting);
    let all = stage.succeeded(&ids, Duration::from_secs(40)).await;
    assert_eq!(all.len(), 300);
    assert!(all.iter().all(|generation| generation.attempts == 1), "a ledger in trouble costs no attempt");
    assert_eq!(stage.submissions().await.values().sum::<usize>(), 300, "and no call of the upstream");
    assert_eq!(stage.usage().await.balance, before - 300);
    stage.assert_all_is_over().await;
    for worker in workers {
        worker.stop().await;
    }
    drop(beside);
    ledger.close().await;
    database.drop().await;
}

/// Row D2, as far as one process can tell it: every lease has run out while nobody could renew, and nobody is found dead for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_the_lease_makes_nobody_dead() {
    let database = Database::create().await;
    let ledger = database.ledger().await;
    let stage = Stage::on_postgres(&ledger, script(8.0), 20).await;
    let short = || Settings { lease: Duration::from_secs(6), ..settings() };
    let workers = [stage.worker(short()), stage.worker(short()), stage.worker(short())];
    let ids = stage.submit(60).await;
    let rendering = |g: &domain::generation::Generation| g.rendering_at.is_some();
    stage.until(&ids, Duration::from_secs(20), rendering).await;
    let before: Vec<_> = names(&stage).await;
    assert_eq!(before.len(), 3);
    // Nobody gets at the workers' rows: no renewal, no step.
    let mut beside = database.connection().await;
    beside.execute("begin; lock table workers in access exclusive mode").await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    beside.execute("rollback").await.unwrap();
    stage.succeeded(&ids, Duration::from_secs(30)).await;
    assert_eq!(names(&stage).await, before, "the same incarnations work on");
    for worker in &workers {
        assert_eq!(worker.metric("son1k_worker_abandoned_total", None), 0.0);
    }
    assert_eq!(stage.submissions().await.into_values().collect::<Vec<_>>(), [1; 60]);
    for worker in workers {
        worker.stop().await;
    }
    drop(beside);
    ledger.close().await;
    database.drop().await;
}

async fn names(stage: &Stage) -> Vec<domain::ids::WorkerId> {
    let mut ids: Vec<_> = stage.backends.work.workers().await.unwrap().into_iter().map(|worker| worker.id).collect();
    ids.sort();
    ids
}
