//! The start budget: when the upstream is called, by a note on the way to it.

use crate::hooked::hook;
use crate::stage::{Stage, fault, script, settings};
use serde_json::json;
use simulator::{FaultKind, Script};
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use worker::Settings;

/// A thread that the machine holds up between a start and its note makes it look late: one for each thread of a test.
const NOTED_LATE: usize = 2;

/// The moments at which the worker submitted something. What arrives upstream may have been squeezed together on its way.
#[derive(Default)]
struct Starts(Mutex<Vec<Instant>>);

impl Starts {
    fn of(stage: &mut Stage) -> Arc<Self> {
        let starts = Arc::new(Self::default());
        let noted = starts.clone();
        hook(stage, move || noted.0.lock().unwrap().push(Instant::now()), || ready(()));
        starts
    }

    fn most_within_a_second(&self) -> usize {
        let at = self.0.lock().unwrap();
        let within =
            |begin: &Instant| at.iter().filter(|t| (*begin..*begin + Duration::from_secs(1)).contains(*t)).count();
        at.iter().map(within).max().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_keep_within_their_budget_and_use_it() {
    let mut stage = Stage::new(script(0.1), 5).await;
    let starts = Starts::of(&mut stage);
    let worker = stage.worker(Settings { starts_per_second: 50, ..settings() });
    let ids = stage.submit(200).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    let most = starts.most_within_a_second();
    assert!(most <= 51 + NOTED_LATE, "{most} within a second");
    let at = starts.0.lock().unwrap().clone();
    let seconds = (at[at.len() - 1] - at[0]).as_secs_f64();
    // A busy machine wakes late; how much of the budget an idle one uses, the pace's own test says.
    assert!(199.0 / seconds >= 10.0, "{} a second", 199.0 / seconds);
    worker.stop().await;
}

/// Repeats in doubt ask the pool for their token first; a pool that stalls may not make a crowd of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_stalls_makes_no_crowd_of_repeats() {
    let mut stage = Stage::new(Script { fail: vec![fault(FaultKind::Hang, 1.0)], ..script(0.1) }, 100).await;
    stage.deadline = Duration::from_secs(60);
    let starts = Starts::of(&mut stage);
    let leaving = stage.worker(Settings { drain: Duration::from_millis(100), ..settings() });
    let ids = stage.submit(50).await;
    let end = Instant::now() + Duration::from_secs(20);
    while starts.0.lock().unwrap().len() < 50 {
        assert!(Instant::now() < end, "not all are submitted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    leaving.stop().await;
    stage.rescript(json!({"fail": []})).await;
    starts.0.lock().unwrap().clear();
    stage.tokens.stall(Duration::from_secs(4));
    let worker = stage.worker(Settings { starts_per_second: 20, ..settings() });
    stage.succeeded(&ids, Duration::from_secs(30)).await;
    let most = starts.most_within_a_second();
    assert!(most <= 21 + NOTED_LATE, "{most} within a second");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_share_the_work_without_sharing_any_of_it() {
    let stage = Stage::new(script(0.2), 5).await;
    let workers = [stage.worker(settings()), stage.worker(settings())];
    let ids = stage.submit(200).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    assert_eq!(stage.submissions().await.into_values().collect::<Vec<_>>(), [1; 200]);
    // What has ended is counted before its lease is given back.
    tokio::time::timeout(Duration::from_secs(20), stage.tokens.all_given_back()).await.unwrap();
    let finished: Vec<f64> =
        workers.iter().map(|w| w.metric("son1k_generations_finished_total", Some("succeeded"))).collect();
    assert_eq!(finished.iter().sum::<f64>(), 200.0);
    for worker in workers {
        worker.stop().await;
    }
    stage.assert_all_is_over().await;
}
