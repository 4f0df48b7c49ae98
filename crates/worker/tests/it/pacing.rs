//! The start budget, by the upstream's own record.

use crate::stage::{Stage, script, settings};
use std::time::Duration;
use worker::Settings;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_keep_within_their_budget_and_use_it() {
    let stage = Stage::new(script(0.1), 5).await;
    let worker = stage.worker(Settings { starts_per_second: 50, ..settings() });
    let ids = stage.submit(200).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    let mut at: Vec<u64> = stage.calls("generate").await.iter().map(|seen| seen.at).collect();
    at.sort_unstable();
    let most = at.iter().map(|begin| at.iter().filter(|t| (*begin..begin + 1_000).contains(*t)).count()).max();
    // The record is of arrivals: the way there may squeeze a start or two together.
    assert!(most <= Some(54), "{most:?} within a second");
    let seconds = (at[at.len() - 1] - at[0]) as f64 / 1_000.0;
    // A busy machine wakes late; how much of the budget an idle one uses, the pace's own test says.
    assert!(199.0 / seconds >= 25.0, "{} a second", 199.0 / seconds);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_share_the_work_without_sharing_any_of_it() {
    let stage = Stage::new(script(0.2), 5).await;
    let workers = [stage.worker(settings()), stage.worker(settings())];
    let ids = stage.submit(200).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    assert_eq!(stage.submissions().await.into_values().collect::<Vec<_>>(), [1; 200]);
    let finished: Vec<f64> =
        workers.iter().map(|w| w.metric("son1k_generations_finished_total", Some("succeeded"))).collect();
    assert_eq!(finished.iter().sum::<f64>(), 200.0);
    for worker in workers {
        worker.stop().await;
    }
    stage.assert_all_is_over().await;
}
