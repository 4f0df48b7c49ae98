//! One life of a worker: what its tasks share, how they begin, and the two ways it ends.
//!
//! A replica lives through several incarnations when it loses its lease. What limits it (slots, pace, breaker) outlives each of them.

use crate::breaker::Breaker;
use crate::hand::Hand;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::renew::Standing;
use crate::settle::{self, Write};
use crate::slots::Slots;
use crate::timer::Timer;
use crate::tokens::{self, Refused, Secrets};
use crate::{Cpu, Settings, Worker, WorkerError};
use crate::{claim, drain, listen, render, renew, retain, step, suspects, tell};
use domain::event::Change;
use domain::ids::{LeaseId, WorkerId};
use domain::ports::work::NewWorker;
use domain::ports::{Backends, TokenLeases, Upstream};
use domain::token::LeaseOutcome;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Writes, rings and releases that may wait in this process; past it whoever has one more waits, or (rings, releases) goes without.
const WRITES_MOST: usize = 1_024;
const TELLS_MOST: usize = 4_096;
const RELEASES_MOST: usize = 4_096;
/// Between two rings, and two releases: less than anybody notices who waits for them. One alone costs the broker or the pool as much as one
/// for a dozen.
const OUTBOX_REST: Duration = Duration::from_millis(10);
/// Polls, cancels and the like in flight at once.
const POLLS_MOST: usize = 128;
const REGISTER_LIMIT: Duration = Duration::from_secs(5);
const REGISTER_PAUSE: Duration = Duration::from_secs(1);
/// How long the tasks of a lost incarnation are waited for; each of them stops at its next await.
const ABANDON_LIMIT: Duration = Duration::from_secs(5);

/// What outlives an incarnation.
pub(crate) struct Replica {
    pub(crate) settings: Settings,
    pub(crate) backends: Backends,
    pub(crate) leases: Arc<dyn TokenLeases>,
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) cpu: Cpu,
    pub(crate) metrics: Metrics,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) slots: Arc<Slots>,
    /// Rung when a slot or a place in the line for a start is free again.
    pub(crate) freed: Arc<Notify>,
}

impl Replica {
    pub(crate) fn new(worker: Worker) -> Result<Self, WorkerError> {
        let metrics = Metrics::new(&worker.registry)?;
        let freed = Arc::new(Notify::new());
        Ok(Self {
            breaker: Arc::new(Breaker::new(metrics.breaker_open.clone())),
            pace: Arc::new(Pace::new(worker.settings.starts_per_second, freed.clone())),
            slots: Arc::new(Slots::new(worker.settings.concurrency, freed.clone(), metrics.slots.clone())),
            freed,
            metrics,
            settings: worker.settings,
            backends: worker.backends,
            leases: worker.leases,
            upstream: worker.upstream,
            cpu: worker.cpu,
        })
    }
}

/// How far this incarnation has come to its end; each comes after the one above it, `lost` at any time.
#[derive(Default)]
pub(crate) struct Signals {
    /// Nothing more is claimed, adopted or started.
    pub(crate) draining: CancellationToken,
    /// Nothing more is polled.
    pub(crate) quiet: CancellationToken,
    /// What is written down by now is all: the writer ends when its queue is empty.
    pub(crate) flush: CancellationToken,
    /// The same for rings and releases.
    pub(crate) last: CancellationToken,
    /// Stop where you are: nothing here is ours any more, or it is over.
    pub(crate) lost: CancellationToken,
    /// An operator's wish, heard with a renewal.
    pub(crate) asked_to_drain: CancellationToken,
}

/// What the tasks of one incarnation share.
pub(crate) struct Incarnation {
    pub(crate) id: WorkerId,
    pub(crate) replica: Arc<Replica>,
    pub(crate) standing: Standing,
    pub(crate) hand: Hand,
    pub(crate) timer: Timer,
    pub(crate) polls_in_flight: Arc<Semaphore>,
    pub(crate) secrets: Secrets,
    pub(crate) refused: Refused,
    pub(crate) signals: Signals,
    pub(crate) suspect: suspects::Place,
    /// A ring, or the tick: look whether there is work.
    pub(crate) rung: Notify,
    /// The `traceparent` of the last ring that was heard.
    pub(crate) ring: Mutex<Option<String>>,
    /// A claim or an adoption ended in doubt: compare soon.
    pub(crate) doubt: AtomicBool,
    pub(crate) greatest_tag: AtomicI64,
    pub(crate) dry_until: Mutex<Option<Instant>>,
    pub(crate) ringing_neighbour: AtomicBool,
    pub(crate) writes: mpsc::Sender<Write>,
    pub(crate) tells: mpsc::Sender<Change>,
    pub(crate) releases: mpsc::Sender<(LeaseId, LeaseOutcome)>,
    pub(crate) claims: TaskTracker,
    pub(crate) submissions: TaskTracker,
    pub(crate) polls: TaskTracker,
    pub(crate) writer: TaskTracker,
    /// Rings and releases.
    pub(crate) outbox: TaskTracker,
    pub(crate) background: TaskTracker,
}

impl Incarnation {
    /// What gathers meanwhile shares the next ring or release. At the end nobody rests.
    pub(crate) async fn rests(&self) {
        tokio::select! {
            () = self.signals.lost.cancelled() => {}
            () = self.signals.last.cancelled() => {}
            () = tokio::time::sleep(OUTBOX_REST) => {}
        }
    }
}

impl std::ops::Deref for Incarnation {
    type Target = Replica;

    fn deref(&self) -> &Replica {
        &self.replica
    }
}

pub(crate) enum End {
    Drained,
    /// The ledger says that this incarnation is dead.
    Lost,
}

pub(crate) struct Registered {
    id: WorkerId,
    /// Before the registration was sent: from here the lease is reckoned.
    sent: Instant,
}

/// Registers a fresh incarnation, however long the ledger is out. `None`: shut down before that.
pub(crate) async fn register(replica: &Replica, shutdown: &CancellationToken) -> Option<Registered> {
    loop {
        if shutdown.is_cancelled() {
            return None;
        }
        let id = WorkerId::new(replica.backends.clock.now(), rand::random());
        let sent = Instant::now();
        let settings = &replica.settings;
        let registration = replica.backends.work.register(NewWorker {
            id,
            name: settings.name.clone(),
            version: settings.version.clone(),
            slots: settings.concurrency,
            lease: settings.lease,
        });
        match tokio::time::timeout(REGISTER_LIMIT, registration).await {
            Ok(Ok(())) => {
                tracing::info!(worker_id = %id, "registered");
                return Some(Registered { id, sent });
            }
            Ok(Err(error)) => tracing::warn!(%error, "the ledger did not register this worker; trying again"),
            Err(_) => tracing::warn!("the ledger did not register this worker in time; trying again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep(REGISTER_PAUSE.mul_f64(0.5 + rand::random::<f64>())) => {}
        }
    }
}

pub(crate) async fn live(replica: &Arc<Replica>, registered: Registered, shutdown: &CancellationToken) -> End {
    let (writes, to_write) = mpsc::channel(WRITES_MOST);
    let (tells, to_tell) = mpsc::channel(TELLS_MOST);
    let (releases, to_release) = mpsc::channel(RELEASES_MOST);
    let inc = Arc::new(Incarnation {
        id: registered.id,
        replica: replica.clone(),
        standing: Standing::new(replica.settings.lease, registered.sent),
        hand: Hand::default(),
        timer: Timer::default(),
        polls_in_flight: Arc::new(Semaphore::new(POLLS_MOST)),
        secrets: Secrets::default(),
        refused: Refused::default(),
        signals: Signals::default(),
        suspect: suspects::Place::default(),
        rung: Notify::new(),
        ring: Mutex::new(None),
        doubt: AtomicBool::new(false),
        greatest_tag: AtomicI64::new(0),
        dry_until: Mutex::new(None),
        ringing_neighbour: AtomicBool::new(false),
        writes,
        tells,
        releases,
        claims: TaskTracker::new(),
        submissions: TaskTracker::new(),
        polls: TaskTracker::new(),
        writer: TaskTracker::new(),
        outbox: TaskTracker::new(),
        background: TaskTracker::new(),
    });
    inc.background.spawn(renew::run(inc.clone()));
    inc.writer.spawn(settle::run(inc.clone(), to_write));
    inc.outbox.spawn(tell::run(inc.clone(), to_tell));
    inc.outbox.spawn(tokens::release(inc.clone(), to_release));
    inc.background.spawn(render::run(inc.clone()));
    inc.background.spawn(listen::work(inc.clone()));
    inc.background.spawn(listen::notices(inc.clone()));
    inc.background.spawn(step::run(inc.clone()));
    inc.background.spawn(retain::run(inc.clone()));
    inc.claims.spawn(claim::run(inc.clone()));

    tokio::select! {
        () = inc.signals.lost.cancelled() => {
            let held = inc.hand.len();
            inc.metrics.abandoned.inc_by(held as u64);
            tracing::warn!(worker_id = %inc.id, held, "found dead by others: what is in hand is theirs");
            abandon(&inc).await;
            return End::Lost;
        }
        () = shutdown.cancelled() => {}
        () = inc.signals.asked_to_drain.cancelled() => tracing::info!("an operator asked this worker to drain"),
    }
    drain::run(&inc).await;
    abandon(&inc).await;
    End::Drained
}

/// Ends every task where it is.
async fn abandon(inc: &Incarnation) {
    inc.signals.lost.cancel();
    let trackers = [&inc.claims, &inc.submissions, &inc.polls, &inc.writer, &inc.outbox, &inc.background];
    let all = futures::future::join_all(trackers.map(|tracker| {
        tracker.close();
        tracker.wait()
    }));
    if tokio::time::timeout(ABANDON_LIMIT, all).await.is_err() {
        tracing::error!("a task of an ended incarnation did not stop");
    }
}
