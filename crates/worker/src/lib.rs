//! The worker: claims due generations, leases a token for each, submits them upstream, waits out their renders and settles them.
//!
//! It owns nothing that a crash could lose: what it holds is written in the ledger under its incarnation's lease, and every write
//! names owner and fence. In reading order:
//!
//! * [`run`] → `incarnation` (one life under one lease), `renew`, `drain`
//! * the life of a generation: `claim` → `submit` → `render` → `settle`, or `close` when it was canceled
//! * what keeps the rest going: `step`, `adopt`, `expire`, `compare`, `retain`, `listen`, `tell`, `tokens`
//! * what holds it back: `pace` (starts a second), `slots` (at once), `suspects` (poison), `breaker` (an upstream that is down), `call` (the one door upstream)
//! * what tells of it: `metrics`, `trace`
//!
//! What it does not do: it serves no HTTP, keeps no queue and no retry timer of its own (a retry is a row with a `run_after`), and never
//! decides whose turn it is.

mod adopt;
mod breaker;
mod call;
mod claim;
mod close;
mod compare;
mod drain;
mod expire;
mod hand;
mod incarnation;
mod listen;
mod metrics;
mod pace;
mod render;
mod renew;
mod retain;
mod settle;
mod slots;
mod step;
mod submit;
mod suspects;
mod tell;
mod timer;
mod tokens;
mod trace;

use domain::callback::Callbacks;
use domain::ports::{Backends, TokenLeases, Upstream};
use incarnation::{End, Replica};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How one replica works. Every duration is at least a millisecond, every count at least 1: [`run`] refuses others.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For operators: host and process.
    pub name: String,
    pub version: String,
    /// Submissions in work at once (`GENERATION_CONCURRENCY`). Renders do not count.
    pub concurrency: u32,
    /// Submissions started a second, by this replica (`GENERATION_RATE_LIMIT`).
    pub starts_per_second: u32,
    /// How long the ledger believes in this worker without a renewal (`LEASE_SECONDS`).
    pub lease: Duration,
    /// Renders that this worker takes on at most; adoption stops here.
    pub renders_most: u32,
    /// The first poll of a render, and the longest pause between two.
    pub poll_first: Duration,
    pub poll_longest: Duration,
    /// How long a drain waits for calls under way.
    pub drain: Duration,
    /// Job history kept for operators (`COMPLETED_JOBS_MAX`, `FAILED_JOBS_MAX`), and how long results are kept.
    pub completed_jobs_max: u32,
    pub failed_jobs_max: u32,
    pub result_retention: Duration,
    /// Where the upstream may call back (`PUBLIC_URL`). `None`: it is polled and nothing else.
    pub called_back_at: Option<CalledBackAt>,
}

/// The gateways' address for callbacks, and what signs the token of each.
#[derive(Debug, Clone)]
pub struct CalledBackAt {
    pub public_url: String,
    pub callbacks: Callbacks,
}

impl Settings {
    /// The documented defaults.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            concurrency: 50,
            starts_per_second: 100,
            lease: Duration::from_secs(30),
            renders_most: 50_000,
            poll_first: Duration::from_millis(250),
            poll_longest: Duration::from_secs(5),
            drain: Duration::from_secs(15),
            completed_jobs_max: 10_000,
            failed_jobs_max: 5_000,
            result_retention: Duration::from_secs(90 * 86_400),
            called_back_at: None,
        }
    }

    fn check(&self) -> Result<(), WorkerError> {
        let counts = [
            ("concurrency", self.concurrency),
            ("starts_per_second", self.starts_per_second),
            ("renders_most", self.renders_most),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return Err(WorkerError::Setting { name, rule: "at least 1" });
        }
        let times = [("poll_first", self.poll_first), ("poll_longest", self.poll_longest), ("drain", self.drain)];
        if let Some((name, _)) = times.into_iter().find(|(_, value)| *value < Duration::from_millis(1)) {
            return Err(WorkerError::Setting { name, rule: "at least 1 ms" });
        }
        if self.lease < Duration::from_secs(1) {
            return Err(WorkerError::Setting { name: "lease", rule: "at least 1 s" });
        }
        Ok(())
    }
}

/// How a worker learns how busy its process is.
pub type Cpu = Arc<dyn Fn() -> Option<f64> + Send + Sync>;

/// One replica, and the world it works in.
pub struct Worker {
    pub settings: Settings,
    pub backends: Backends,
    pub leases: Arc<dyn TokenLeases>,
    pub upstream: Arc<dyn Upstream>,
    /// Its share of the CPU that it may use since this was last called, for the autoscaler. `None`: not known.
    pub cpu: Cpu,
    pub registry: prometheus::Registry,
}

/// Why a worker could not begin. Once it has begun it waits out whatever happens to its neighbours.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("worker setting {name} must be {rule}")]
    Setting { name: &'static str, rule: &'static str },
    #[error("the worker's metrics could not be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Works until `shutdown` (or until an operator asked this replica to drain), then drains and returns, within 20 s with the usual settings.
///
/// A lost lease ends nothing: everything in hand is abandoned to whoever adopted it, and the replica goes on as a new incarnation.
pub async fn run(worker: Worker, shutdown: CancellationToken) -> Result<(), WorkerError> {
    worker.settings.check()?;
    let replica = Arc::new(Replica::new(worker)?);
    while let Some(registered) = incarnation::register(&replica, &shutdown).await {
        match Box::pin(incarnation::live(&replica, registered, &shutdown)).await {
            End::Drained => break,
            End::Lost => {
                tracing::warn!("the lease was lost: everything in hand is abandoned, a new incarnation begins")
            }
        }
    }
    Ok(())
}
