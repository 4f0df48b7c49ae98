//! PostgreSQL killed, failed over and slowed down.

use super::load::offers;
use super::servers::Servers;
use super::tell;
use crate::system::{Proxy, TestApp};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

async fn incarnations(app: &TestApp) -> BTreeSet<String> {
    let workers = app.operator.client.admin().workers().await.unwrap();
    workers.iter().map(|worker| worker.id.to_string()).collect()
}

async fn abandoned(app: &mut TestApp) -> f64 {
    let mut sum = 0.0;
    for name in ["worker-1", "worker-2", "worker-3"] {
        sum += app.process(name).counts("son1k_worker_abandoned_total").await;
    }
    sum
}

/// Longer than the leases, so that all of them have run out when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn d2_the_server_is_killed_and_comes_back() {
    let (servers, url) = Servers::database().await;
    let mut app = TestApp::production().setting("DATABASE_URL", &url).setting("LEASE_SECONDS", &5).start().await;
    app.upstream.renders_in(12.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let before = incarnations(&app).await;
    let begun = Instant::now();
    let mut back = Duration::ZERO;
    let fault = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        servers.told("kill", &[]).await;
        tokio::time::sleep(Duration::from_secs(8)).await;
        servers.told("begin", &[]).await;
        back = begun.elapsed();
    };
    let (offered, ()) = tokio::join!(offers(&customer, 10, Duration::from_secs(45)), fault);
    offered.all_accepted();
    assert!(offered.slowest < Duration::from_secs(5), "{:?}", offered.slowest);
    let normal = offered.accepted_at.iter().find(|at| **at > back).copied().unwrap_or_default() - back;
    assert!(normal < Duration::from_secs(10), "{normal:?} until the first was accepted again");
    app.operator.sees_the_queue_empty(Duration::from_secs(90)).await;
    customer.has_all_of(&offered.ids).await;
    let again: usize = app.upstream.submissions().await.values().map(|count| count - 1).sum();
    assert_eq!(again, 0, "submitted again");
    let (after, left) = (incarnations(&app).await, abandoned(&mut app).await);
    app.operator.proves_the_books().await;
    let numbers = format!(
        "{} of {} accepted in the end, {:?} refusals, slowest answer {:.2} s, accepted again {:.1} s after it was back, {again} submitted again, {} of 3 workers found dead, {left} renders left to others",
        offered.ids.len(),
        offered.offered,
        offered.refusals,
        offered.slowest.as_secs_f64(),
        normal.as_secs_f64(),
        before.difference(&after).count(),
    );
    tell("D2", &numbers);
    assert_eq!((before, left), (after, 0.0));
    app.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn d3_the_primary_dies_and_its_synchronous_standby_takes_over() {
    let (servers, url) = Servers::database().await;
    let standby = servers.told("standby", &[]).await;
    let (through, proxy) = Proxy::before_url(&url).await;
    let app = TestApp::production().setting("DATABASE_URL", &through).start().await;
    app.upstream.renders_in(1.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let fault = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        servers.told("kill", &[]).await;
        servers.told("promote", &[]).await;
        proxy.points_at(standby.trim());
    };
    let (offered, ()) = tokio::join!(offers(&customer, 20, Duration::from_secs(30)), fault);
    offered.all_accepted();
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    // Exactly those: none lost, and none made twice by a key that came again.
    customer.has_all_of(&offered.ids).await;
    app.operator.proves_the_books().await;
    let numbers = format!(
        "{} accepted, {} found afterwards, {:?} refusals, {} calls unanswered, longest gap {:.1} s",
        offered.ids.len(),
        offered.ids.len(),
        offered.refusals,
        offered.unanswered,
        offered.longest_gap().as_secs_f64(),
    );
    tell("D3", &numbers);
    app.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn d7_every_fsync_takes_300_ms_more() {
    let (servers, url) = Servers::database().await;
    let mut app = TestApp::production().setting("DATABASE_URL", &url).setting("LEASE_SECONDS", &5).start().await;
    app.upstream.renders_in(2.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let before = incarnations(&app).await;
    servers.told("slow", &["300"]).await;
    // Connections of before are as quick as they were: each is replaced.
    servers.told("reconnect", &[]).await;
    let offered = offers(&customer, 10, Duration::from_secs(40)).await;
    offered.all_accepted();
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    customer.has_all_of(&offered.ids).await;
    let (after, left) = (incarnations(&app).await, abandoned(&mut app).await);
    servers.told("quick", &[]).await;
    app.operator.proves_the_books().await;
    let numbers = format!(
        "{} of {} accepted ({} by their first call), slowest answer {:.2} s, {} of 3 leases lost, {left} renders left to others",
        offered.ids.len(),
        offered.offered,
        offered.at_once,
        offered.slowest.as_secs_f64(),
        before.difference(&after).count(),
    );
    tell("D7", &numbers);
    assert_eq!((before, left), (after, 0.0));
    app.stops().await;
}
