//! What every handler of one gateway shares.

use crate::admin::change::Changes;
use crate::authenticate::Authenticator;
use crate::backlog::Backlogs;
use crate::console::Console;
use crate::counting::Counting;
use crate::hub::Hub;
use crate::idempotency::InProgress;
use crate::intake::Intake;
use crate::limit::Limits;
use crate::metrics::Metrics;
use crate::problem::ApiError;
use crate::reader::Reader;
use crate::ringer::Ringer;
use crate::settings::Settings;
use crate::unauthenticated::Strangers;
use domain::ports::generations::QueueStats;
use domain::ports::{Backends, StoreError, TokenAdmin};
use moka::Expiry;
use moka::future::{Cache, CacheBuilder};
use moka::policy::EvictionPolicy;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a handler waits for one call of a port.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How old the queue's numbers may be where they only inform, and to which part of the time counting them is kept where much waits.
const QUEUE_SEEN_FOR: Duration = Duration::from_secs(2);
const QUEUE_COUNTED_PART: u32 = 20;
/// What counting the dead rings may take; past it, the last count is told.
const DEAD_COUNTED_WITHIN: Duration = Duration::from_secs(1);

pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) backends: Backends,
    pub(crate) token_admin: Arc<dyn TokenAdmin>,
    pub(crate) authenticator: Authenticator,
    pub(crate) strangers: Strangers,
    pub(crate) limits: Limits,
    pub(crate) backlogs: Backlogs,
    pub(crate) in_progress: Arc<InProgress>,
    pub(crate) intake: Intake,
    pub(crate) reader: Reader,
    pub(crate) ringer: Arc<Ringer>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) changes: Changes,
    pub(crate) console: Console,
    pub(crate) metrics: Arc<Metrics>,
    /// Cancelled when streams and held requests are to end.
    pub(crate) closing: CancellationToken,
    streams: Arc<Semaphore>,
    pub(crate) counting: Counting,
    /// How often what the two below count was changed here: it is their key, so that a count from before a change is never told after it.
    changed: AtomicU64,
    queue: Cache<u64, Counted>,
    dead: Cache<u64, Option<u64>>,
}

impl Core {
    pub(crate) fn new(
        settings: Settings,
        backends: Backends,
        token_admin: Arc<dyn TokenAdmin>,
        metrics: Arc<Metrics>,
        tasks: &TaskTracker,
    ) -> Self {
        let ringer = Arc::new(Ringer::new(metrics.clone()));
        let generations = &backends.generations;
        Self {
            authenticator: Authenticator::new(
                backends.accounts.clone(),
                settings.pepper.clone(),
                &settings.admin_key,
                &settings.system_key,
            ),
            strangers: Strangers::new(settings.unauthenticated_per_minute),
            limits: Limits::new(backends.limiter.clone(), metrics.clone()),
            backlogs: Backlogs::new(generations.clone(), settings.backlog_max_account, settings.backlog_max_total),
            in_progress: Arc::default(),
            intake: Intake::start(generations, &ringer, tasks),
            reader: Reader::start(generations.clone(), tasks),
            hub: Arc::new(Hub::new(generations.clone(), metrics.clone())),
            changes: Changes::default(),
            console: Console::new(&settings.pepper, &settings.admin_key),
            closing: CancellationToken::new(),
            streams: Arc::new(Semaphore::new(settings.streams_max)),
            counting: Counting::default(),
            changed: AtomicU64::new(0),
            queue: last_two().expire_after(AsLongAsItTook).build(),
            dead: last_two().time_to_live(QUEUE_SEEN_FOR).build(),
            ringer,
            metrics,
            token_admin,
            settings,
            backends,
        }
    }

    /// A call of a port, with a deadline.
    pub(crate) async fn call<T, E>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, ApiError>
    where
        ApiError: From<E>,
    {
        match tokio::time::timeout(ANSWERS_WITHIN, call).await {
            Ok(result) => result.map_err(ApiError::from),
            Err(_) => {
                tracing::warn!("a port did not answer in time");
                Err(ApiError::unavailable("A part of the service does not answer for the moment."))
            }
        }
    }

    /// A place among the open streams and held requests.
    pub(crate) fn stream(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let taken = self.streams.clone().try_acquire_owned();
        taken.map_err(|_| ApiError::overloaded("Too many streams are open.", 5))
    }

    /// What was changed here is seen at once here.
    pub(crate) fn changed(&self) {
        self.changed.fetch_add(1, Ordering::Relaxed);
    }

    /// The queue in numbers, two seconds old or, where counting takes long, up to twenty times as old as that took.
    pub(crate) async fn queue(&self) -> Result<Arc<QueueStats>, ApiError> {
        let read = async {
            let begun = Instant::now();
            let stats = self.backends.generations.queue().await?;
            Ok(Counted { stats: Arc::new(stats), took: begun.elapsed() })
        };
        let read = self.queue.try_get_with(self.changed.load(Ordering::Relaxed), read);
        self.call(async { read.await.map(|counted| counted.stats).map_err(Shared) }).await
    }

    /// How many rings were laid aside, up to two seconds old; while the broker does not say, as many as it said last.
    pub(crate) async fn dead(&self) -> u64 {
        let counted = async {
            let asked = tokio::time::timeout(DEAD_COUNTED_WITHIN, self.backends.doorbell.dead()).await;
            asked.ok().and_then(Result::ok)
        };
        let count = self.dead.get_with(self.changed.load(Ordering::Relaxed), counted).await;
        if let Some(count) = count {
            self.metrics.dead_letters.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        count.unwrap_or_else(|| u64::try_from(self.metrics.dead_letters.get()).unwrap_or(0))
    }
}

/// Of a count, the last, and one that was begun before a change and ended after the next: neither puts the other out.
fn last_two<T: Clone + Send + Sync + 'static>() -> CacheBuilder<u64, T, Cache<u64, T>> {
    Cache::builder().max_capacity(2).eviction_policy(EvictionPolicy::lru())
}

#[derive(Clone)]
struct Counted {
    stats: Arc<QueueStats>,
    took: Duration,
}

struct AsLongAsItTook;

impl Expiry<u64, Counted> for AsLongAsItTook {
    fn expire_after_create(&self, _: &u64, counted: &Counted, _: Instant) -> Option<Duration> {
        Some(QUEUE_SEEN_FOR.max(counted.took * QUEUE_COUNTED_PART))
    }
}

/// A store error that several callers got at once.
struct Shared(Arc<StoreError>);

impl From<Shared> for ApiError {
    fn from(Shared(error): Shared) -> Self {
        tracing::warn!(%error, "a store call failed");
        Self::unavailable("The ledger does not answer for the moment.")
    }
}
