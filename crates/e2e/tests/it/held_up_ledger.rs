//! PostgreSQL that gives too few connections, or holds everybody up behind a lock: refusals come soon, and then it is as before.

use crate::system::{Customer, TestApp, server};
use client::{ClientError, Retries, Submission};
use futures::future::join_all;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::time::{Duration, Instant};

/// One submission: how long its answer took, and the refusal's status where it was one.
async fn submits(customer: &Customer, prompt: &str) -> (Duration, Option<u16>) {
    let asked = Instant::now();
    let status = match customer.client.clone().with_retries(Retries::NONE).submit(&Submission::of(prompt)).await {
        Ok(_) => None,
        Err(ClientError::Refused(problem)) => Some(problem.status),
        Err(other) => panic!("{other}"),
    };
    (asked.elapsed(), status)
}

/// Row D5: five connections for a process that wants fifty, and two hundred clients at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_connections_serve_two_hundred_clients() {
    let name = format!("son1k_role_{:08x}", rand::random::<u32>());
    let admin = server("TEST_DATABASE_URL");
    let mut beside = PgConnection::connect(&admin).await.unwrap();
    for statement in
        [format!("create role {name} login connection limit 5"), format!("create database {name} owner {name}")]
    {
        beside.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    let host = admin.rsplit_once('@').map_or(admin.as_str(), |(_, rest)| rest);
    let host = host.split('/').next().unwrap().to_owned();
    let app = TestApp::embedded()
        .setting("DATABASE_URL", &format!("postgres://{name}@{host}/{name}?sslmode=disable"))
        .setting("DATABASE_POOL_MAX", &50)
        .with_shared_secrets()
        .start()
        .await;
    app.upstream.renders_in(0.2).await;
    let customer = app.operator.opens_unlimited_account().await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.extend(join_all((0..200).map(|_| submits(&customer, "crowded"))).await);
    }
    let mut refused: Vec<_> = answers.iter().filter(|(_, status)| status.is_some()).collect();
    assert!(refused.iter().all(|(_, status)| *status == Some(503)), "{refused:?}");
    refused.sort();
    let p99 = refused.get(refused.len() * 99 / 100).map_or(Duration::ZERO, |(took, _)| *took);
    assert!(p99 < Duration::from_millis(2_500), "{p99:?} of {} refusals", refused.len());
    let slowest = answers.iter().map(|(took, _)| *took).max().unwrap();
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let healed = Instant::now();
    while submits(&customer, "quiet").await.1.is_some() {
        assert!(healed.elapsed() < Duration::from_secs(5), "it does not recover");
    }
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    app.operator.proves_the_books().await;
    app.stops().await;
    for statement in [format!("drop database {name} with (force)"), format!("drop role {name}")] {
        beside.execute(AssertSqlSafe(statement)).await.unwrap();
    }
}

/// Row D6: somebody holds the table of live work for seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_somebody_holds_is_a_503_within_two_seconds() {
    let app = TestApp::production().start().await;
    app.upstream.renders_in(0.2).await;
    let customer = app.operator.opens_unlimited_account().await;
    let mut ids = customer.submits_many(20).await;
    app.operator.sees_the_queue_empty(Duration::from_secs(20)).await;
    let mut beside = PgConnection::connect(app.database_url()).await.unwrap();
    beside.execute("begin; lock table work in access exclusive mode").await.unwrap();
    let held = Instant::now();
    let (mut refusals, mut slowest) = (0, Duration::ZERO);
    while held.elapsed() < Duration::from_secs(6) {
        for (took, status) in join_all((0..10).map(|_| submits(&customer, "held up"))).await {
            assert_eq!(status, Some(503), "nobody can have been accepted");
            refusals += 1;
            slowest = slowest.max(took);
        }
    }
    beside.execute("rollback").await.unwrap();
    assert!(slowest < Duration::from_millis(2_500), "{slowest:?}, the slowest of {refusals} refusals");
    ids.extend(customer.submits_many(20).await);
    app.operator.sees_the_queue_empty(Duration::from_secs(30)).await;
    let all = customer.lists(None).await;
    assert_eq!(all.len(), ids.len(), "what was refused does not exist");
    app.operator.proves_the_books().await;
    drop(beside);
    app.stops().await;
}
