//! Ports that fail on command, around real ones.

use async_trait::async_trait;
use domain::admission::Submission;
use domain::event::Change;
use domain::generation::{CanceledBy, Generation};
use domain::ids::{AccountId, GenerationId};
use domain::page::{Page, PageRequest};
use domain::ports::generations::{Attempt, Backlog, Canceled, GenerationFilter, Place, QueueStats, Scope, Submitted};
use domain::ports::limiter::LimiterError;
use domain::ports::{Generations, RateLimiter, StoreError};
use domain::rate::RateDecision;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// How a submission goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Commits, then loses the answer.
    Committed,
    /// Loses the call itself.
    Lost,
    Unavailable,
    /// Waits until it is let go, then commits.
    Held,
    Panics,
}

/// What a store does when it is well, and what it is told to do otherwise.
pub(crate) struct FaultyGenerations {
    inner: Arc<dyn Generations>,
    fault: Mutex<Option<(Fault, usize)>>,
    /// The backlog is asked for and never told, as by a server that hangs.
    pub(crate) counts_nothing: AtomicBool,
    pub(crate) calls: AtomicUsize,
    pub(crate) largest_batch: AtomicUsize,
    pub(crate) reached: Notify,
    pub(crate) let_go: Notify,
}

impl FaultyGenerations {
    pub(crate) fn around(inner: Arc<dyn Generations>) -> Self {
        Self {
            inner,
            fault: Mutex::default(),
            counts_nothing: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            largest_batch: AtomicUsize::new(0),
            reached: Notify::new(),
            let_go: Notify::new(),
        }
    }

    /// The next `times` calls go wrong.
    pub(crate) fn fail(&self, fault: Fault, times: usize) {
        *self.fault.lock().unwrap() = Some((fault, times));
    }

    fn next(&self) -> Option<Fault> {
        let mut planned = self.fault.lock().unwrap();
        let (fault, times) = planned.as_mut().filter(|(_, times)| *times > 0)?;
        *times -= 1;
        Some(*fault)
    }
}

#[async_trait]
impl Generations for FaultyGenerations {
    async fn submit(&self, batch: &[Submission]) -> Result<Vec<Submitted>, StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.largest_batch.fetch_max(batch.len(), Ordering::SeqCst);
        match self.next() {
            Some(Fault::Committed) => {
                self.inner.submit(batch).await?;
                Err(StoreError::InDoubt("the answer was lost".into()))
            }
            Some(Fault::Lost) => Err(StoreError::InDoubt("the connection broke".into())),
            Some(Fault::Unavailable) => Err(StoreError::Unavailable("down".into())),
            Some(Fault::Held) => {
                self.reached.notify_one();
                self.let_go.notified().await;
                self.inner.submit(batch).await
            }
            Some(Fault::Panics) | None => self.inner.submit(batch).await,
        }
    }

    async fn show(&self, scope: Scope, id: GenerationId) -> Result<Option<Generation>, StoreError> {
        self.inner.show(scope, id).await
    }

    async fn show_many(&self, ids: &[GenerationId]) -> Result<Vec<Generation>, StoreError> {
        if self.next() == Some(Fault::Panics) {
            panic!("a bug");
        }
        self.inner.show_many(ids).await
    }

    async fn list(&self, s: Scope, f: &GenerationFilter, p: PageRequest) -> Result<Page<Generation>, StoreError> {
        match self.next() {
            Some(Fault::Unavailable) => return Err(StoreError::Unavailable("down".into())),
            Some(Fault::Panics) => panic!("a bug"),
            _ => {}
        }
        self.inner.list(s, f, p).await
    }

    async fn attempts(&self, id: GenerationId) -> Result<Vec<Attempt>, StoreError> {
        self.inner.attempts(id).await
    }

    async fn cancel(&self, scope: Scope, id: GenerationId, by: CanceledBy) -> Result<Canceled, StoreError> {
        self.inner.cancel(scope, id, by).await
    }

    async fn expire(&self, limit: u16) -> Result<Vec<(Change, bool)>, StoreError> {
        self.inner.expire(limit).await
    }

    async fn backlog(&self, account_id: AccountId) -> Result<Backlog, StoreError> {
        if self.counts_nothing.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.backlog(account_id).await
    }

    async fn queue(&self) -> Result<QueueStats, StoreError> {
        self.inner.queue().await
    }

    async fn place(&self, id: GenerationId) -> Result<Option<Place>, StoreError> {
        self.inner.place(id).await
    }

    async fn retain(&self, succeeded: u32, failed: u32, results_for: Duration) -> Result<u64, StoreError> {
        self.inner.retain(succeeded, failed, results_for).await
    }
}

pub(crate) struct FaultyLimiter {
    inner: Arc<dyn RateLimiter>,
    pub(crate) down: AtomicBool,
    /// It answers, cut off from the others.
    pub(crate) alone: AtomicBool,
    /// How many share each limit, as it was told.
    pub(crate) gateways: AtomicU32,
}

impl FaultyLimiter {
    pub(crate) fn around(inner: Arc<dyn RateLimiter>) -> Self {
        Self { inner, down: AtomicBool::default(), alone: AtomicBool::default(), gateways: AtomicU32::default() }
    }
}

#[async_trait]
impl RateLimiter for FaultyLimiter {
    fn shared_by(&self, gateways: u32) {
        self.gateways.store(gateways, Ordering::SeqCst);
    }

    fn is_alone(&self) -> bool {
        self.alone.load(Ordering::SeqCst)
    }

    async fn check(&self, account: AccountId, limit: u32) -> Result<RateDecision, LimiterError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(LimiterError("down".into()));
        }
        self.inner.check(account, limit).await
    }
}
