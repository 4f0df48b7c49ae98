//! What the stories need: a ledger of their own, replicas of the pool that serve on loopback, and a few verbs.

use conformance::Fixture;
use domain::ids::{LeaseId, TokenId, WorkerId};
use domain::ports::{TokenAdmin, TokenLeases, Tokens, Upstream};
use domain::token::{
    AcquireRequest, Acquired, ImportOutcome, LeaseOutcome, TokenImport, TokenLease, TokenView, Wanted,
};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::{Duration, Instant};
use token_pool::{Access, EncryptionKeys, Pool, Settings};
use token_pool_rpc::{MutualTls, RemotePool};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "a shared secret of 32 characters";
/// 32 bytes of ones.
pub(crate) const KEYS: &str = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// An empty ledger, gone with its folder.
pub(crate) struct Ledger {
    pub(crate) at: Fixture,
    _folder: tempfile::TempDir,
}

pub(crate) async fn ledger() -> Ledger {
    let folder = tempfile::tempdir().unwrap();
    let settings = embedded::Settings { data_dir: folder.path().join("data"), tiers: domain::tier::Tiers::default() };
    let ledger = embedded::Ledger::open(settings).await.unwrap();
    let at = Fixture {
        accounts: ledger.clone(),
        operators: ledger.clone(),
        generations: ledger.clone(),
        work: ledger.clone(),
        tokens: ledger.clone(),
        scaling: ledger.clone(),
        clock: ledger,
    };
    Ledger { at, _folder: folder }
}

/// Settings of a replica: reconciled often enough for stories, and led for longer than one, however busy the machine is. Grants lapse
/// in none but those that say so.
pub(crate) fn settings(at: &Fixture) -> Settings {
    let replica = WorkerId::new(at.now(), rand::random());
    let keys = EncryptionKeys::parse(KEYS).unwrap();
    Settings {
        lead_lease: Duration::from_secs(20),
        grant: Duration::from_millis(400),
        grant_hold: Duration::from_secs(60),
        reconcile_interval: Duration::from_millis(150),
        ..Settings::new(replica, keys, SecretString::from("the fingerprint's key"))
    }
}

/// How a replica shows itself.
struct Edge {
    tls: Option<MutualTls>,
    reflection: bool,
}

impl Default for Edge {
    fn default() -> Self {
        Self { tls: None, reflection: true }
    }
}

/// A replica that serves, and a client of it alone.
pub(crate) struct Replica {
    pub(crate) pool: Arc<Pool>,
    pub(crate) client: Arc<RemotePool>,
    pub(crate) address: String,
    pub(crate) registry: prometheus::Registry,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Replica {
    pub(crate) async fn start(at: &Fixture, change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_with(at, None, change).await
    }

    /// As [`Replica::start`], with an upstream to probe.
    pub(crate) async fn start_with(
        at: &Fixture,
        upstream: Option<Arc<dyn Upstream>>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), at, upstream, Edge::default(), change).await
    }

    /// As [`Replica::start`], with certificates; its client shows the same one.
    pub(crate) async fn start_certified(at: &Fixture, tls: MutualTls) -> Self {
        let edge = Edge { tls: Some(tls), ..Edge::default() };
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), at, None, edge, |_| {}).await
    }

    pub(crate) async fn start_reflecting(at: &Fixture, reflection: bool) -> Self {
        let edge = Edge { reflection, ..Edge::default() };
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), at, None, edge, |_| {}).await
    }

    #[expect(clippy::disallowed_methods, reason = "a test's server ends with the test's runtime")]
    async fn start_on(
        listener: TcpListener,
        at: &Fixture,
        upstream: Option<Arc<dyn Upstream>>,
        edge: Edge,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let scheme = if edge.tls.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{}", listener.local_addr().unwrap());
        let mut settings = Settings { address: address.clone(), ..settings(at) };
        change(&mut settings);
        let shutdown = CancellationToken::new();
        let registry = prometheus::Registry::new();
        let store: Arc<dyn Tokens> = at.tokens.clone();
        let pool = Pool::start(settings, store, at.clock.clone(), upstream, &registry, shutdown.clone()).await.unwrap();
        let access = Access { secret: SecretString::from(SECRET), tls: edge.tls.clone() };
        let served = token_pool::serve(pool.clone(), listener, access, edge.reflection, shutdown.clone());
        let serving = tokio::spawn(async move { served.await.unwrap() });
        let client = RemotePool::connect(&address, SecretString::from(SECRET), edge.tls).unwrap();
        Self { pool, client, address, registry, shutdown, serving }
    }

    /// As SIGTERM does.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.pool.stopped().await;
        self.serving.await.unwrap();
    }

    /// The value of an unlabelled metric, or the sum of those with this label.
    pub(crate) fn metric(&self, name: &str, label: Option<&str>) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("no metric {name}"));
        let has = |metric: &&prometheus::proto::Metric| {
            label.is_none_or(|label| metric.get_label().iter().any(|pair| pair.value() == label))
        };
        let value =
            |metric: &prometheus::proto::Metric| metric.get_counter().get_value() + metric.get_gauge().get_value();
        family.get_metric().iter().filter(has).map(value).sum()
    }
}

/// A replica on a runtime of its own, so that it can be killed as a process is: nothing is resigned, nothing is said.
pub(crate) struct Doomed {
    pub(crate) replica: Replica,
    runtime: tokio::runtime::Runtime,
}

impl Doomed {
    /// At `port`; 0 takes a free one. One that was just killed there may take a moment to let go of it.
    pub(crate) fn start(at: &Fixture, port: u16, change: impl FnOnce(&mut Settings) + Send) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let start = || {
            runtime.block_on(async {
                let listener = until(async || TcpListener::bind(("127.0.0.1", port)).await.ok()).await;
                Replica::start_on(listener, at, None, Edge::default(), change).await
            })
        };
        let replica = std::thread::scope(|scope| scope.spawn(start).join().unwrap());
        Self { replica, runtime }
    }

    pub(crate) fn port(&self) -> u16 {
        self.replica.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub(crate) fn kill(self) {
        self.runtime.shutdown_background();
    }

    /// As SIGTERM does.
    pub(crate) async fn stop(self) {
        self.replica.stop().await;
        self.runtime.shutdown_background();
    }
}

pub(crate) fn a_worker() -> WorkerId {
    WorkerId::new(domain::Timestamp::UNIX_EPOCH, rand::random())
}

pub(crate) fn secrets(from: u32, count: u32) -> Vec<TokenImport> {
    (from..from + count)
        .map(|number| TokenImport {
            secret: SecretString::from(format!("upstream-secret-{number:05}")),
            label: Some(format!("token {number}")),
            max_concurrency: None,
            requests_per_minute: None,
            expires_at: None,
        })
        .collect()
}

/// `count` tokens for so many leases at once each.
pub(crate) async fn import(pool: &dyn TokenAdmin, count: u32, max_concurrency: u32) -> Vec<TokenId> {
    let tokens = secrets(0, count)
        .into_iter()
        .map(|token| TokenImport { max_concurrency: Some(max_concurrency), ..token })
        .collect();
    let outcomes = pool.import(tokens).await.unwrap();
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            ImportOutcome::Imported(id) => id,
            other => panic!("not imported: {other:?}"),
        })
        .collect()
}

pub(crate) fn any(owner: WorkerId, count: u32) -> AcquireRequest {
    AcquireRequest { owner, wanted: Wanted::Count(count), wait_up_to: Duration::ZERO }
}

pub(crate) fn of_token(owner: WorkerId, token: TokenId) -> AcquireRequest {
    AcquireRequest { owner, wanted: Wanted::Token(token), wait_up_to: Duration::ZERO }
}

pub(crate) async fn leases(pool: &dyn TokenLeases, request: AcquireRequest) -> Vec<TokenLease> {
    match pool.acquire(request).await.unwrap() {
        Acquired::Leases(leases) => leases,
        Acquired::Dry { earliest } => panic!("dry until {earliest:?}"),
    }
}

/// `None`: not dry.
pub(crate) async fn dry(pool: &dyn TokenLeases, request: AcquireRequest) -> Option<Option<Duration>> {
    match pool.acquire(request).await.unwrap() {
        Acquired::Leases(_) => None,
        Acquired::Dry { earliest } => Some(earliest),
    }
}

pub(crate) async fn release(pool: &dyn TokenLeases, lease: LeaseId, outcome: LeaseOutcome) {
    pool.release(&[(lease, outcome)]).await.unwrap();
}

pub(crate) async fn seen(pool: &dyn TokenAdmin, id: TokenId) -> TokenView {
    pool.list().await.unwrap().into_iter().find(|view| view.id == id).unwrap()
}

/// Until something that is under way has happened; a story that waits for long has failed.
pub(crate) async fn until<T>(mut happened: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = happened().await {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it never happened");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
