//! Three workers, one killed or frozen half way: nothing is lost, nothing is settled twice, and the credits add up.

use crate::system::{Signal, TestApp, report, until};
use domain::state::Status;
use serde_json::json;
use std::time::{Duration, Instant};

const COUNT: usize = 600;

#[tokio::test]
async fn all_600_succeed_and_the_books_add_up() {
    let mut app =
        TestApp::production().setting("LEASE_SECONDS", &5).setting("GENERATION_RATE_LIMIT", &15).start().await;
    app.upstream.renders_in(2.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = customer.submits_many(COUNT).await;
    until("a third is done, and all three have work in their hands", Duration::from_secs(60), async || {
        let queue = app.operator.queue().await;
        let workers = app.operator.client.admin().workers().await.unwrap();
        let busy = workers.iter().filter(|worker| worker.active + worker.rendering > 0).count();
        (queue.waiting + queue.active + queue.rendering < (COUNT * 2 / 3) as u64 && busy == 3).then_some(())
    })
    .await;
    app.kills("worker-2").await;
    assert!(!customer.lists(Some(Status::Queued)).await.is_empty(), "it was in the middle");

    app.operator.sees_the_queue_empty(Duration::from_secs(120)).await;
    customer.has_all_of(&ids).await;
    let submissions = app.upstream.submissions().await;
    let again: usize = submissions.values().map(|count| count - 1).sum();
    // One worker's slots, at worst: what was being submitted when it died. What rendered is resumed.
    assert!(again <= 50, "{again} were submitted again");
    app.operator.proves_the_books().await;
    app.stops().await;
}

/// Three leases long: the others adopt what it had, and when it wakes it changes nothing that they finished.
#[tokio::test]
async fn a_worker_that_was_frozen_changes_nothing_when_it_wakes() {
    let lease = Duration::from_secs(5);
    let mut app = TestApp::production().setting("LEASE_SECONDS", &lease.as_secs()).start().await;
    app.upstream.renders_in(8.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = customer.submits_many(150).await;
    let frozen_one = until("somebody renders", Duration::from_secs(20), async || {
        if app.operator.queue().await.rendering <= 50 {
            return None;
        }
        for name in ["worker-1", "worker-2", "worker-3"] {
            if app.process(name).counts("son1k_generations_rendering").await > 0.0 {
                return Some(name);
            }
        }
        None
    })
    .await;
    app.process(frozen_one).signal(Signal::Freeze);
    let frozen = Instant::now();
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    tokio::time::sleep((lease * 3).saturating_sub(frozen.elapsed())).await;
    let ended = customer.lists(None).await;
    app.process(frozen_one).signal(Signal::Thaw);
    // It finds out that it is dead, counts what it had to leave to others, and goes on as a new one.
    let left = until("it has begun anew", Duration::from_secs(20), async || {
        let worker = app.process(frozen_one);
        let left = worker.counts("son1k_worker_abandoned_total").await;
        let late = worker.counts("son1k_worker_stale_writes_total").await;
        (left + late > 0.0).then_some(left + late)
    })
    .await;
    assert!((1.0..=150.0).contains(&left), "{left} left to others");
    let more = customer.submits_many(60).await;
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    for generation in ended {
        assert_eq!(customer.client.generation(generation.id).await.unwrap(), generation);
    }
    customer.has_all_of(&ids.union(&more).copied().collect()).await;
    app.operator.proves_the_books().await;
    app.stops().await;
}

/// However long the drain would take: whoever says it twice means at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_told_twice_ends_at_once() {
    let mut app = TestApp::production().setting("LEASE_SECONDS", &10).start().await;
    app.upstream.behaves(json!({"render_seconds": {"min": 0.5, "max": 0.5}, "latency_ms": 12_000})).await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = customer.submits_many(30).await;
    // One of them may have taken all there was.
    let busy = until("somebody's calls are under way", Duration::from_secs(20), async || {
        for name in ["worker-1", "worker-2", "worker-3"] {
            if app.process(name).counts("son1k_generations_active").await > 0.0 {
                return Some(name);
            }
        }
        None
    })
    .await;
    let worker = app.process(busy);
    worker.signal(Signal::Terminate);
    until("it drains", Duration::from_secs(5), async || worker.log().contains("draining").then_some(())).await;
    let told = Instant::now();
    worker.signal(Signal::Terminate);
    let status = worker.ended(Duration::from_secs(5)).await;
    report(&format!("ended {:.3} s after the second SIGTERM", told.elapsed().as_secs_f64()));
    assert_eq!(status.code(), Some(1), "{status}");
    app.forgets(busy);
    app.upstream.behaves(json!({"latency_ms": 20})).await;
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    customer.has_all_of(&ids).await;
    app.operator.proves_the_books().await;
    app.stops().await;
}

/// Row L2: what it had not submitted is the others' at once, what renders is adopted, and nobody's attempt is used.
#[tokio::test]
async fn a_worker_that_is_told_to_go_leaves_in_time_and_costs_nothing() {
    let mut app = TestApp::production().setting("GENERATION_RATE_LIMIT", &20).start().await;
    app.upstream.renders_in(10.0).await;
    let customer = app.operator.opens_unlimited_account().await;
    let ids = customer.submits_many(200).await;
    until("all three have their hands full", Duration::from_secs(20), async || {
        let workers = app.operator.client.admin().workers().await.unwrap();
        let busy = workers.iter().filter(|worker| worker.rendering > 10).count();
        (busy == 3).then_some(())
    })
    .await;
    let told = Instant::now();
    app.process("worker-1").signal(Signal::Terminate);
    let status = app.process("worker-1").ended(Duration::from_secs(12)).await;
    assert!(status.success(), "{status}");
    let took = told.elapsed();
    app.forgets("worker-1");
    let gone = Instant::now();
    // Far sooner than its lease ends. What a worker shows of itself is up to two steps old.
    until("others have what it had", Duration::from_secs(10), async || {
        let workers = app.operator.client.admin().workers().await.unwrap();
        let queue = app.operator.queue().await;
        // What a worker says of itself is as old as its last renewal; the ledger says who owns what.
        let adopted: f64 = {
            let mut sum = 0.0;
            for name in ["worker-2", "worker-3"] {
                sum += app.process(name).counts("son1k_generations_rendering").await;
            }
            sum
        };
        (workers.len() == 2 && adopted as u64 >= queue.rendering).then_some(())
    })
    .await;
    report(&format!("{took:?} to go, {:?} until others had it", gone.elapsed()));
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    customer.has_all_of(&ids).await;
    assert!(customer.lists(None).await.iter().all(|generation| generation.attempts == 1));
    assert!(app.upstream.submissions().await.values().all(|count| *count == 1), "nothing was submitted again");
    app.operator.proves_the_books().await;
    app.stops().await;
}
