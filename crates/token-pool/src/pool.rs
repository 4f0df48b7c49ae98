//! The pool as a process has it: started once, it elects, keeps and leases until it is told to stop.
//!
//! The parts of its work are in files of their own; this one holds what they share.

use crate::health::State as HealthState;
use crate::lease_book::LeaseBook;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::state::{Role, State};
use domain::Timestamp;
use domain::ports::tokens::Epoch;
use domain::ports::{LedgerClock, StoreError, Tokens, Upstream};
use domain::token::PoolStats;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why no pool was started.
#[derive(Debug, thiserror::Error)]
pub enum PoolStartError {
    #[error("the token pool's records could not be read: {0}")]
    Store(#[from] StoreError),
    #[error("the token pool's metrics are registered already: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("MIN_TOKENS {min} is over MAX_TOKENS {max}")]
    Range { min: u32, max: u32 },
    #[error("another process leads the token pool of this store")]
    NotSole,
}

pub struct Pool {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<dyn Tokens>,
    clock: Arc<dyn LedgerClock>,
    pub(crate) upstream: Option<Arc<dyn Upstream>>,
    pub(crate) metrics: Metrics,
    state: Mutex<State>,
    /// Something is to be written.
    pub(crate) unsaved: Notify,
    /// Somebody wants the ledger's leases read now.
    pub(crate) read_now: Notify,
    /// When the last reading that ended had begun.
    pub(crate) reads: watch::Sender<Option<Instant>>,
    /// The next moment at which time changes something may have moved.
    pub(crate) changed: Notify,
    /// Whether this replica leads and grants, for the health service.
    pub(crate) serving: watch::Sender<bool>,
    pub(crate) shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("replica", &self.settings.replica).finish_non_exhaustive()
    }
}

impl Pool {
    /// Elects once before it returns: where nobody else leads, and no earlier leader's grants can stand, it grants at once. `upstream`
    /// is asked about tokens (`GET /me`); without one they recover by time, trial and operators alone. When `shutdown` is cancelled it
    /// resigns and ends; [`Pool::stopped`] waits for that.
    pub async fn start(
        settings: Settings,
        store: Arc<dyn Tokens>,
        clock: Arc<dyn LedgerClock>,
        upstream: Option<Arc<dyn Upstream>>,
        registry: &prometheus::Registry,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, PoolStartError> {
        if settings.min > settings.max {
            return Err(PoolStartError::Range { min: settings.min, max: settings.max });
        }
        let state = State {
            role: Role::Follower { leader: String::new() },
            book: LeaseBook::new(Epoch(0), settings.policy.clone(), settings.grant_hold),
            cards: HashMap::new(),
            waiters: VecDeque::new(),
            unsaved: BTreeMap::new(),
            saved: HashMap::new(),
            book_epoch: None,
            behind: false,
            latest: clock.now(),
            grant: settings.grant,
            was_low: None,
        };
        let pool = Arc::new(Self {
            settings,
            store,
            clock,
            upstream,
            metrics: Metrics::new()?,
            state: Mutex::new(state),
            unsaved: Notify::new(),
            read_now: Notify::new(),
            reads: watch::Sender::new(None),
            changed: Notify::new(),
            serving: watch::Sender::new(false),
            shutdown,
            tasks: TaskTracker::new(),
        });
        pool.metrics.register(registry, &pool)?;
        pool.first_election().await?;
        for task in [
            Task::Leadership,
            Task::Reconcile,
            Task::Save,
            Task::Upkeep,
            Task::Probes,
            Task::Reseal,
            Task::Watch,
            Task::Provision,
        ] {
            let pool = Arc::clone(&pool);
            let tasks = pool.tasks.clone();
            tasks.spawn(async move {
                match task {
                    Task::Leadership => pool.keep_leadership().await,
                    Task::Reconcile => pool.keep_reconciled().await,
                    Task::Save => pool.keep_saved().await,
                    Task::Upkeep => pool.keep_up().await,
                    Task::Probes => pool.keep_probing().await,
                    Task::Reseal => pool.keep_resealed().await,
                    Task::Watch => pool.keep_watching().await,
                    Task::Provision => pool.keep_provisioned().await,
                }
            });
        }
        pool.tasks.close();
        Ok(pool)
    }

    /// A sole pool leads or fails; any other may follow.
    async fn first_election(&self) -> Result<(), PoolStartError> {
        let patience = self.settings.lead_lease * 2 + Duration::from_secs(3);
        let begun = Instant::now();
        loop {
            self.elect().await?;
            if !self.settings.sole || self.leads() {
                return Ok(());
            }
            if begun.elapsed() > patience {
                return Err(PoolStartError::NotSole);
            }
            tokio::time::sleep(self.settings.lead_lease / 8).await;
        }
    }

    /// Until every task has ended and the leadership is given up.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }

    /// Whether this replica leads at the moment.
    pub fn leads(&self) -> bool {
        self.state().leading().is_ok()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger's time, which never goes back here.
    pub(crate) fn now(&self, state: &mut State) -> Timestamp {
        state.latest = state.latest.max(self.clock.now());
        state.latest
    }

    pub(crate) fn count(&self, state: &State) -> PoolStats {
        let leased = u32::try_from(state.book.leased()).unwrap_or(u32::MAX);
        let mut stats = PoolStats { min: self.settings.min, max: self.settings.max, leased, ..PoolStats::default() };
        for (terms, _) in state.book.tokens() {
            *match terms.health.state {
                HealthState::Usable | HealthState::HalfOpen => &mut stats.usable,
                HealthState::Cooling { .. } => &mut stats.cooling,
                HealthState::Quarantined => &mut stats.quarantined,
                HealthState::Exhausted { .. } => &mut stats.exhausted,
                HealthState::Disabled | HealthState::Expired => &mut stats.disabled,
            } += 1;
        }
        stats
    }
}

#[derive(Clone, Copy)]
enum Task {
    Leadership,
    Reconcile,
    Save,
    Upkeep,
    Probes,
    Reseal,
    Watch,
    Provision,
}
