//! Generations that kill their worker, and workers that die for reasons of their own.

use crate::canceling::closed;
use crate::flaky::{Flaky, Losses};
use crate::stage::{Stage, script, settings};
use async_trait::async_trait;
use domain::generation::ErrorCode;
use domain::ports::Upstream;
use domain::ports::upstream::{Progress, TokenCheck, UpstreamAnswer, UpstreamError, UpstreamJob};
use domain::ports::work::StepReport;
use domain::state::{Stage as At, Status};
use secrecy::SecretString;
use simulator::Script;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use worker::Settings;

/// As short as a lease may be: each death costs one.
const LEASE: Duration = Duration::from_secs(1);

/// The upstream as it is, but for one prompt: whoever submits that is as good as dead.
struct Deadly {
    inner: Arc<dyn Upstream>,
    struck: Arc<Notify>,
}

#[async_trait]
impl Upstream for Deadly {
    async fn submit(&self, secret: &SecretString, job: &UpstreamJob) -> Result<UpstreamAnswer, UpstreamError> {
        if job.request.prompt == "poison" {
            self.struck.notify_one();
            return std::future::pending().await;
        }
        self.inner.submit(secret, job).await
    }

    async fn poll(&self, secret: &SecretString, upstream_id: &str) -> Result<Progress, UpstreamError> {
        self.inner.poll(secret, upstream_id).await
    }

    async fn cancel(&self, secret: &SecretString, upstream_id: &str) -> Result<bool, UpstreamError> {
        self.inner.cancel(secret, upstream_id).await
    }

    async fn check(&self, secret: &SecretString) -> Result<TokenCheck, UpstreamError> {
        self.inner.check(secret).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_that_kills_its_workers_fails_alone() {
    let mut stage = Stage::new(Script { latency_ms: 300, ..script(0.2) }, 5).await;
    let struck = Arc::new(Notify::new());
    stage.instead = Some(Arc::new(Deadly { inner: stage.upstream(), struck: struck.clone() }));
    let before = stage.usage().await.balance;
    let neighbours = stage.submit(6).await;
    let poison = stage.submit_as(stage.account, "poison", 1).await;
    let more = stage.submit(3).await;
    let mut deaths = 0;
    while !stage.show_one(poison[0]).await.status.is_final() {
        let worker = stage.mortal(Settings { lease: LEASE, ..settings() });
        let strikes = tokio::time::timeout(Duration::from_secs(20), struck.notified());
        let fails = stage.ended(&poison, Duration::from_secs(20));
        tokio::select! {
            struck = strikes => {
                struck.unwrap();
                // Its neighbours are being submitted as well by now.
                tokio::time::sleep(Duration::from_millis(100)).await;
                deaths += 1;
            }
            _ended = fails => {}
        }
        worker.shutdown_background();
    }
    assert_eq!(deaths, 5);
    let last = stage.worker(Settings { lease: LEASE, ..settings() });
    let all = stage.succeeded(&[neighbours, more].concat(), Duration::from_secs(40)).await;
    assert!(all.iter().all(|generation| generation.attempts == 1), "they pay for none of it");
    let failed = stage.show_one(poison[0]).await;
    assert_eq!((failed.status, failed.error.map(|error| error.code)), (Status::Failed, Some(ErrorCode::Internal)));
    assert_eq!(stage.usage().await.balance, before - 9, "refunded once");
    stage.assert_all_is_over().await;
    last.stop().await;
}

/// Two are suspected, so that one of them goes back; just then it is canceled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspect_that_is_canceled_while_it_goes_back_is_closed() {
    let mut stage = Stage::new(script(0.2), 5).await;
    let ids = stage.submit(2).await;
    let finder = stage.idler().await;
    for crashes in 0..2 {
        let dying = stage.idler().await;
        let counts: Vec<_> = stage.claim(dying, 2).await.iter().map(|claimed| claimed.crashes).collect();
        assert_eq!(counts, [crashes; 2]);
        stage.backends.work.retire(dying).await.unwrap();
        stage.backends.work.step(finder, StepReport::default()).await.unwrap();
    }
    let losses = Arc::new(Losses::default());
    *losses.canceling.lock().unwrap() = Some(stage.backends.generations.clone());
    stage.backends.work = Arc::new(Flaky { inner: stage.backends.work.clone(), losses });
    let worker = stage.worker(settings());
    let all = stage.ended(&ids, Duration::from_secs(20)).await;
    let ends: Vec<_> = all.iter().map(|generation| generation.status).collect();
    assert!(ends.contains(&Status::Canceled) && ends.contains(&Status::Succeeded), "{ends:?}");
    closed(&stage, &ids).await;
    stage.assert_all_is_over().await;
    worker.stop().await;
}

/// Row L5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_in_a_crash_loop_costs_no_attempts() {
    let stage = Stage::new(Script { latency_ms: 2_000, ..script(0.2) }, 5).await;
    let ids = stage.submit(5).await;
    for _ in 0..3 {
        let dying = stage.mortal(Settings { lease: LEASE, ..settings() });
        stage.until(&ids[..1], Duration::from_secs(10), |g| g.stage == Some(At::Submitting)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        dying.shutdown_background();
    }
    stage.rescript(serde_json::json!({"latency_ms": 0})).await;
    let survivor = stage.worker(Settings { lease: LEASE, ..settings() });
    let all = stage.succeeded(&ids, Duration::from_secs(30)).await;
    assert!(all.iter().all(|generation| generation.attempts == 1), "{:?}", all.iter().map(|g| g.attempts));
    stage.assert_all_is_over().await;
    survivor.stop().await;
}
