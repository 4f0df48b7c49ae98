//! What the stories play on: a ledger in a folder of its own, a simulator on a port of its own, tokens, a customer and workers.

use crate::tokens::FixedTokens;
use domain::account::Overrides;
use domain::admission::Submission;
use domain::generation::Generation;
use domain::ids::{AccountId, GenerationId, LeaseId, TokenId, WorkerId};
use domain::lease::LeaseRef;
use domain::ports::accounts::{NewAccount, Usage};
use domain::ports::doorbell::Heard;
use domain::ports::generations::{Scope, Submitted};
use domain::ports::work::{Claimed, NewWorker};
use domain::ports::{Backends, StoreError, Upstream};
use domain::request::{Draft, GenerationRequest};
use domain::state::Status;
use domain::tier::{Tier, Tiers};
use futures::StreamExt;
use serde_json::Value;
use simulator::{FailRule, FaultKind, Script};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use worker::{Settings, Worker, WorkerError};

pub(crate) struct Stage {
    pub(crate) backends: Backends,
    pub(crate) tokens: Arc<FixedTokens>,
    pub(crate) account: AccountId,
    pub(crate) simulator: String,
    /// Shortened, so that a story about a hanging upstream does not hang.
    pub(crate) deadline: Duration,
    /// Called in the simulator's place.
    pub(crate) instead: Option<Arc<dyn Upstream>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    folder: Option<tempfile::TempDir>,
}

pub(crate) struct Running {
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), WorkerError>>,
    pub(crate) registry: prometheus::Registry,
}

impl Running {
    /// Drains it. How long that took.
    pub(crate) async fn stop(self) -> Duration {
        let begun = Instant::now();
        self.shutdown.cancel();
        timeout(Duration::from_secs(20), self.ended).await.expect("a drain ends").unwrap().unwrap();
        begun.elapsed()
    }

    pub(crate) fn metric(&self, name: &str, label: Option<&str>) -> f64 {
        metric(&self.registry, name, label)
    }

    /// Until the metric is as wanted.
    pub(crate) async fn shows(&self, name: &str, label: Option<&str>, wanted: impl Fn(f64) -> bool) {
        let end = tokio::time::Instant::now() + Duration::from_secs(30);
        while !wanted(self.metric(name, label)) {
            assert!(tokio::time::Instant::now() < end, "{name} {label:?} is {}", self.metric(name, label));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub(crate) fn metric(registry: &prometheus::Registry, name: &str, label: Option<&str>) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).expect("a documented metric");
    let fits = |metric: &&prometheus::proto::Metric| {
        label.is_none_or(|label| metric.get_label().iter().any(|pair| pair.value() == label))
    };
    let value = |metric: &prometheus::proto::Metric| {
        metric.get_counter().get_value()
            + metric.get_gauge().get_value()
            + metric.get_histogram().get_sample_count() as f64
    };
    family.get_metric().iter().filter(fits).map(value).sum()
}

/// One call as the simulator logged it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) at: u64,
    /// A hash of it.
    pub(crate) token: String,
    pub(crate) fault: String,
    pub(crate) call: String,
    pub(crate) key: String,
    pub(crate) upstream_id: String,
    pub(crate) in_flight: u64,
}

pub(crate) fn script(render_seconds: f64) -> Script {
    Script {
        render_seconds: simulator::RenderSeconds { min: render_seconds, max: render_seconds },
        latency_ms: 0,
        ..Script::default()
    }
}

pub(crate) fn fault(kind: FaultKind, probability: f64) -> FailRule {
    FailRule { kind, probability, matching: None, calls: None }
}

pub(crate) fn settings() -> Settings {
    Settings { starts_per_second: 1_000, ..Settings::new("host:1", "0.1.0") }
}

impl Stage {
    /// On a ledger in a folder.
    pub(crate) async fn new(script: Script, tokens: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opened = embedded::Settings { data_dir: folder.path().to_owned(), tiers: Tiers::default() };
        let ledger = embedded::Ledger::open(opened).await.unwrap();
        let backends = Backends {
            accounts: ledger.clone(),
            operators: ledger.clone(),
            generations: ledger.clone(),
            work: ledger.clone(),
            tokens: ledger.clone(),
            gateways: ledger.clone(),
            scaling: ledger.clone(),
            doorbell: embedded::channels::Channels::new(),
            limiter: embedded::limiter::InProcessLimiter::new(),
            clock: ledger,
            probes: vec![],
        };
        let mut stage = Self::on(backends, script, tokens).await;
        stage.folder = Some(folder);
        stage
    }

    /// On a ledger in PostgreSQL, which has to outlive the stage.
    pub(crate) async fn on_postgres(ledger: &Arc<production::Ledger>, script: Script, tokens: usize) -> Self {
        let backends = Backends {
            accounts: ledger.clone(),
            operators: ledger.clone(),
            generations: ledger.clone(),
            work: ledger.clone(),
            tokens: ledger.clone(),
            gateways: ledger.clone(),
            scaling: ledger.clone(),
            doorbell: embedded::channels::Channels::new(),
            limiter: embedded::limiter::InProcessLimiter::new(),
            clock: ledger.clone(),
            probes: vec![],
        };
        Self::on(backends, script, tokens).await
    }

    async fn on(backends: Backends, script: Script, tokens: usize) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let serving = simulator::Settings { script, seed: Some(7), ..simulator::Settings::new(&address) };
        tasks.spawn(simulator::run(serving, listener, shutdown.clone()));
        let account = customer(&backends, Tier::Pro).await;
        Self {
            backends,
            tokens: FixedTokens::new(tokens),
            account,
            simulator: address,
            deadline: Duration::from_secs(20),
            instead: None,
            tasks,
            shutdown,
            folder: None,
        }
    }

    /// Somebody else who submits.
    pub(crate) async fn customer(&self, tier: Tier) -> AccountId {
        customer(&self.backends, tier).await
    }

    pub(crate) fn upstream(&self) -> Arc<dyn Upstream> {
        if let Some(instead) = &self.instead {
            return instead.clone();
        }
        let quick = upstream::Deadlines { first_byte: self.deadline, total: self.deadline };
        upstream::connect(upstream::Settings {
            submit: quick,
            poll: quick,
            other: quick,
            ..upstream::Settings::new(upstream::Dialect::Suno, &self.simulator)
        })
        .unwrap()
    }

    fn job(&self, settings: Settings, registry: prometheus::Registry) -> Worker {
        Worker {
            settings,
            backends: self.backends.clone(),
            leases: self.tokens.clone(),
            upstream: self.upstream(),
            cpu: Arc::new(|| Some(0.5)),
            registry,
        }
    }

    pub(crate) fn worker(&self, settings: Settings) -> Running {
        let (shutdown, registry) = (CancellationToken::new(), prometheus::Registry::new());
        let job = self.job(settings, registry.clone());
        Running { ended: self.tasks.spawn(worker::run(job, shutdown.clone())), shutdown, registry }
    }

    /// A worker on a runtime of its own, which can be taken away under it as a `kill -9` does.
    pub(crate) fn mortal(&self, settings: Settings) -> tokio::runtime::Runtime {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let job = self.job(settings, prometheus::Registry::new());
        TaskTracker::new().spawn_on(worker::run(job, CancellationToken::new()), runtime.handle());
        runtime
    }

    pub(crate) async fn submit(&self, count: usize) -> Vec<GenerationId> {
        self.submit_for(count, Duration::from_secs(3_600)).await
    }

    pub(crate) async fn submit_for(&self, count: usize, cancel_after: Duration) -> Vec<GenerationId> {
        let batch = vec![Submission { cancel_after, ..self.submission(self.account, "rain") }; count];
        self.submit_all(batch).await
    }

    pub(crate) async fn submit_as(&self, account: AccountId, prompt: &str, count: usize) -> Vec<GenerationId> {
        self.submit_all(vec![self.submission(account, prompt); count]).await
    }

    /// Each under an id of its own, until the ledger has said what became of it; then rings.
    async fn submit_all(&self, mut batch: Vec<Submission>) -> Vec<GenerationId> {
        for item in &mut batch {
            item.id = GenerationId::new(self.backends.clock.now(), rand::random());
        }
        let outcomes = loop {
            match self.backends.generations.submit(&batch).await {
                Ok(outcomes) => break outcomes,
                Err(StoreError::Unavailable(_) | StoreError::InDoubt(_)) => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Submitted::Accepted(_))), "{outcomes:?}");
        // A ring that is lost costs a second.
        let _lost = self.backends.doorbell.ring_workers(None).await;
        batch.iter().map(|item| item.id).collect()
    }

    fn submission(&self, account_id: AccountId, prompt: &str) -> Submission {
        Submission {
            id: GenerationId::from_uuid(uuid::Uuid::nil()),
            account_id,
            request: GenerationRequest::parse(Draft { prompt: Some(prompt.into()), ..Draft::default() }).unwrap(),
            cancel_after: Duration::from_secs(3_600),
            idempotency: None,
            retry_of: None,
            trace: None,
        }
    }

    pub(crate) async fn show(&self, ids: &[GenerationId]) -> Vec<Generation> {
        self.backends.generations.show_many(ids).await.unwrap()
    }

    /// Waits until all of them are as wanted; re-read after each ring, or now and then without one.
    pub(crate) async fn until(
        &self,
        ids: &[GenerationId],
        within: Duration,
        wanted: impl Fn(&Generation) -> bool,
    ) -> Vec<Generation> {
        let end = Instant::now() + within;
        let mut changes = self.backends.doorbell.changes();
        loop {
            let all = self.show(ids).await;
            if all.len() == ids.len() && all.iter().all(&wanted) {
                return all;
            }
            if Instant::now() > end {
                let stuck: Vec<_> =
                    all.iter().filter(|g| !wanted(g)).map(|g| (g.id, g.status, g.stage, g.attempts)).collect();
                panic!("{} of {} are not as wanted after {within:?}: {stuck:?}", stuck.len(), ids.len());
            }
            let _ring: Result<Option<Heard<_>>, _> = timeout(Duration::from_millis(100), changes.next()).await;
        }
    }

    pub(crate) async fn ended(&self, ids: &[GenerationId], within: Duration) -> Vec<Generation> {
        self.until(ids, within, |generation| generation.status.is_final()).await
    }

    pub(crate) async fn succeeded(&self, ids: &[GenerationId], within: Duration) -> Vec<Generation> {
        let all = self.ended(ids, within).await;
        for generation in &all {
            assert_eq!(generation.status, Status::Succeeded, "{:?}", generation.error);
            assert!(!generation.output.as_ref().unwrap().tracks.is_empty());
        }
        all
    }

    /// A worker that the ledger knows and that does nothing by itself.
    pub(crate) async fn idler(&self) -> WorkerId {
        let id = WorkerId::new(self.backends.clock.now(), rand::random());
        let lease = Duration::from_secs(60);
        let new = NewWorker { id, name: "idle".into(), version: "0.1.0".into(), slots: 1, lease };
        self.backends.work.register(new).await.unwrap();
        id
    }

    /// What the ledger gives to a worker with so many leases of the first token.
    pub(crate) async fn claim(&self, worker: WorkerId, count: usize) -> Vec<Claimed> {
        let lease = || LeaseRef {
            lease_id: LeaseId::from_uuid(uuid::Uuid::from_u128(rand::random())),
            token_id: TokenId::from_uuid(uuid::Uuid::from_u128(1)),
        };
        let leases: Vec<_> = std::iter::repeat_with(lease).take(count).collect();
        self.backends.work.claim(worker, &leases).await.unwrap()
    }

    pub(crate) async fn usage(&self) -> Usage {
        self.backends.accounts.usage(self.account).await.unwrap().unwrap()
    }

    /// Nothing is live and the books add up.
    pub(crate) async fn assert_all_is_over(&self) {
        for worker in self.backends.work.workers().await.unwrap() {
            assert_eq!(self.backends.work.held(worker.id).await.unwrap(), []);
        }
        assert_eq!(self.usage().await.reserved, 0);
        let verified = self.backends.accounts.verify(None, 100).await.unwrap();
        assert_eq!(verified.discrepancies, []);
    }

    pub(crate) async fn show_one(&self, id: GenerationId) -> Generation {
        self.backends.generations.show(Scope::Everyone, id).await.unwrap().unwrap()
    }

    pub(crate) async fn rescript(&self, change: Value) {
        let url = format!("{}/_simulator", self.simulator);
        let answer = reqwest::Client::new().put(url).json(&change).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    pub(crate) async fn log(&self) -> Vec<Seen> {
        let url = format!("{}/_simulator/log", self.simulator);
        let body: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| Seen {
                at: entry["at"].as_u64().unwrap(),
                token: text(entry, "token"),
                fault: text(entry, "fault"),
                call: text(entry, "call"),
                key: text(entry, "key"),
                upstream_id: text(entry, "upstream_id"),
                in_flight: entry["in_flight"].as_u64().unwrap_or(0),
            })
            .collect()
    }

    pub(crate) async fn calls(&self, call: &str) -> Vec<Seen> {
        self.log().await.into_iter().filter(|seen| seen.call == call).collect()
    }

    /// How often each generation was submitted.
    pub(crate) async fn submissions(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for seen in self.calls("generate").await {
            *counts.entry(seen.key).or_default() += 1;
        }
        counts
    }
}

async fn customer(backends: &Backends, tier: Tier) -> AccountId {
    let id = AccountId::new(backends.clock.now(), rand::random());
    let many = Some(1_000_000);
    let overrides = Overrides { credits_per_month: many, generations_per_month: many, ..Overrides::default() };
    let new = NewAccount { id, name: "Customer".into(), email: None, tier, overrides };
    backends.accounts.create(new).await.unwrap();
    id
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
