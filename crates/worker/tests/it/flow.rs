//! The usual life: claimed, submitted, rendered, settled; and that a render holds no slot.

use crate::stage::{Stage, script, settings};
use domain::event::Change;
use domain::ports::doorbell::Heard;
use domain::state::Stage as At;
use domain::token::LeaseOutcome;
use futures::StreamExt;
use std::time::Duration;
use tokio::time::timeout;
use worker::Settings;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_submitted_is_rendered_once_and_captured() {
    let stage = Stage::new(script(0.3), 5).await;
    let worker = stage.worker(settings());
    let ids = stage.submit(30).await;
    let all = stage.succeeded(&ids, Duration::from_secs(15)).await;
    assert!(all.iter().all(|g| g.attempts == 1 && g.started_at.is_some() && g.rendering_at.is_some()));
    let submissions = stage.submissions().await;
    assert_eq!((submissions.len(), submissions.values().sum::<usize>()), (30, 30));
    // What has ended is counted before its lease is given back.
    timeout(Duration::from_secs(20), stage.tokens.all_given_back()).await.unwrap();
    assert_eq!(worker.metric("son1k_generations_finished_total", Some("succeeded")), 30.0);
    assert_eq!(worker.metric("son1k_generation_wait_seconds", None), 30.0);
    assert_eq!(worker.metric("son1k_generation_upstream_seconds", None), 30.0);
    assert_eq!(worker.metric("son1k_worker_stale_writes_total", None), 0.0);
    stage.assert_all_is_over().await;
    worker.stop().await;
    assert_eq!(stage.tokens.leased(), 0, "every lease is given back");
    assert_eq!(stage.tokens.released(|outcome| *outcome == LeaseOutcome::Ok), 30);
    assert_eq!(stage.backends.work.workers().await.unwrap(), [], "it has retired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renders_hold_no_slot() {
    let stage = Stage::new(script(4.0), 1).await;
    let worker = stage.worker(Settings { concurrency: 2, ..settings() });
    let ids = stage.submit(20).await;
    stage.until(&ids, Duration::from_secs(10), |g| g.stage == Some(At::Rendering) || g.status.is_final()).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    let most = stage.calls("generate").await.iter().map(|seen| seen.in_flight).max();
    assert!(most >= Some(18), "with two slots {most:?} rendered at once");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_hear_of_milestones_and_now_and_then_of_progress() {
    let stage = Stage::new(script(2.5), 1).await;
    let mut changes = stage.backends.doorbell.changes();
    let worker = stage.worker(Settings { poll_longest: Duration::from_millis(300), ..settings() });
    let ids = stage.submit(1).await;
    let end = stage.succeeded(&ids, Duration::from_secs(10)).await.remove(0);
    let mut heard: Vec<Change> = Vec::new();
    while heard.last().is_none_or(|change| change.version < end.version) {
        if let Some(Heard::Rang(more)) = changes.next().await {
            heard.extend(more);
        }
    }
    let progress: Vec<f32> = heard.iter().filter_map(|change| change.progress).collect();
    assert!((2..=4).contains(&progress.len()), "one a second at most: {progress:?}");
    assert!(progress.is_sorted(), "{progress:?}");
    assert!(stage.calls("status").await.len() > progress.len());
    worker.stop().await;
}

/// The upstream says with its acceptance how long it will take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_render_whose_end_is_known_is_looked_at_when_it_ends() {
    let stage = Stage::new(script(2.0), 5).await;
    let worker = stage.worker(settings());
    let ids = stage.submit(10).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    assert_eq!(stage.calls("status").await.len(), 10, "once each");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_render_whose_end_is_known_is_looked_at_now_and_then() {
    let stage = Stage::new(script(4.0), 1).await;
    let mut changes = stage.backends.doorbell.changes();
    let worker = stage.worker(Settings { poll_longest: Duration::from_secs(1), ..settings() });
    let ids = stage.submit(1).await;
    let end = stage.succeeded(&ids, Duration::from_secs(20)).await.remove(0);
    let mut heard: Vec<Change> = Vec::new();
    while heard.last().is_none_or(|change| change.version < end.version) {
        if let Some(Heard::Rang(more)) = changes.next().await {
            heard.extend(more);
        }
    }
    let progress: Vec<f32> = heard.iter().filter_map(|change| change.progress).collect();
    assert!(progress.len() >= 3 && progress[0] == 0.0 && progress.is_sorted(), "{progress:?}");
    worker.stop().await;
}

/// A rate over what is absent is nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_not_happened_yet_is_counted_as_zero() {
    let stage = Stage::new(script(0.1), 1).await;
    let worker = stage.worker(settings());
    let ids = stage.submit(1).await;
    stage.succeeded(&ids, Duration::from_secs(10)).await;
    let families = worker.registry.gather();
    let rings = families.iter().find(|family| family.name() == "son1k_rings_total").unwrap().get_metric();
    for pair in [("dropped", "to_gateways"), ("ours", "called_back"), ("not_ours", "called_back")] {
        let there = |metric: &&prometheus::proto::Metric| {
            let values: Vec<_> = metric.get_label().iter().map(|label| label.value()).collect();
            values.contains(&pair.0) && values.contains(&pair.1)
        };
        assert_eq!(rings.iter().find(there).map(|metric| metric.get_counter().get_value()), Some(0.0), "{pair:?}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_ring_costs_a_second_and_no_work() {
    let stage = Stage::new(script(0.1), 1).await;
    let worker = stage.worker(settings());
    // Taken by another listener: the worker hears nothing of it.
    let mut thief = stage.backends.doorbell.work();
    let ids = stage.submit(1).await;
    let _ring = tokio::time::timeout(Duration::from_millis(50), thief.next()).await;
    stage.succeeded(&ids, Duration::from_secs(5)).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_pool_stops_claims_and_fails_nothing() {
    let stage = Stage::new(script(0.1), 1).await;
    stage.tokens.dry(true);
    let worker = stage.worker(settings());
    let ids = stage.submit(3).await;
    // Two of its ticks: it has found the pool dry, and said so.
    tokio::time::sleep(Duration::from_secs(3)).await;
    for generation in stage.show(&ids).await {
        assert_eq!((generation.stage, generation.attempts), (Some(At::Backlog), 0));
    }
    assert!(stage.backends.generations.attempts(ids[0]).await.unwrap().is_empty(), "nothing was put back");
    stage.tokens.dry(false);
    stage.succeeded(&ids, Duration::from_secs(5)).await;
    worker.stop().await;
}
