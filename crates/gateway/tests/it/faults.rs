//! Ports that fail on command, around real ones.

use async_trait::async_trait;
use domain::account::{Account, KeyRecord, Principal};
use domain::admission::Submission;
use domain::api_key::KeyHash;
use domain::credits::CreditEntry;
use domain::event::Change;
use domain::generation::{CanceledBy, Generation};
use domain::ids::{AccountId, GenerationId};
use domain::page::{Page, PageRequest};
use domain::ports::accounts::{AccountFilter, AuditEntry, NewAccount, NewKey, Usage, Verified};
use domain::ports::generations::{Attempt, Backlog, Canceled, GenerationFilter, Place, QueueStats, Scope, Submitted};
use domain::ports::limiter::LimiterError;
use domain::ports::{Accounts, Generations, RateLimiter, StoreError};
use domain::rate::RateDecision;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
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
    /// After how many calls it goes wrong, and how often.
    fault: Mutex<Option<(Fault, usize, usize)>>,
    /// The backlog is asked for and never told, as by a server that hangs.
    pub(crate) counts_nothing: AtomicBool,
    pub(crate) calls: AtomicUsize,
    pub(crate) largest_batch: AtomicUsize,
    pub(crate) reached: Notify,
    pub(crate) let_go: Notify,
    /// A call is held, and nobody has given it up.
    pub(crate) holding: AtomicBool,
}

struct Holding<'a>(&'a AtomicBool);

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
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
            holding: AtomicBool::new(false),
        }
    }

    /// The next `times` calls go wrong.
    pub(crate) fn fail(&self, fault: Fault, times: usize) {
        self.fail_after(0, fault, times);
    }

    /// The same once `spared` calls went well.
    pub(crate) fn fail_after(&self, spared: usize, fault: Fault, times: usize) {
        *self.fault.lock().unwrap() = Some((fault, spared, times));
    }

    fn next(&self) -> Option<Fault> {
        let mut planned = self.fault.lock().unwrap();
        let (fault, spared, times) = planned.as_mut().filter(|(_, _, times)| *times > 0)?;
        if *spared > 0 {
            *spared -= 1;
            return None;
        }
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
                self.holding.store(true, Ordering::SeqCst);
                let held = Holding(&self.holding);
                self.reached.notify_one();
                self.let_go.notified().await;
                drop(held);
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

/// Accounts whose books take their time to be added up.
pub(crate) struct SlowBooks {
    inner: Arc<dyn Accounts>,
    /// Milliseconds for each of them.
    pub(crate) each_takes: AtomicU64,
}

impl SlowBooks {
    pub(crate) fn around(inner: Arc<dyn Accounts>) -> Self {
        Self { inner, each_takes: AtomicU64::default() }
    }
}

#[async_trait]
impl Accounts for SlowBooks {
    async fn authenticate(&self, hash: &KeyHash) -> Result<Option<Principal>, StoreError> {
        self.inner.authenticate(hash).await
    }

    async fn create(&self, account: NewAccount) -> Result<Account, StoreError> {
        self.inner.create(account).await
    }

    async fn show(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.inner.show(id).await
    }

    async fn list(&self, filter: &AccountFilter, page: PageRequest) -> Result<Page<Account>, StoreError> {
        self.inner.list(filter, page).await
    }

    async fn create_key(&self, key: NewKey) -> Result<Option<KeyRecord>, StoreError> {
        self.inner.create_key(key).await
    }

    async fn keys(&self, account_id: AccountId) -> Result<Vec<KeyRecord>, StoreError> {
        self.inner.keys(account_id).await
    }

    async fn ensure_system(&self, account: NewAccount, key: NewKey) -> Result<(), StoreError> {
        self.inner.ensure_system(account, key).await
    }

    async fn usage(&self, id: AccountId) -> Result<Option<Usage>, StoreError> {
        self.inner.usage(id).await
    }

    async fn entries(&self, id: AccountId, page: PageRequest) -> Result<Page<CreditEntry>, StoreError> {
        self.inner.entries(id, page).await
    }

    async fn verify(&self, after: Option<AccountId>, limit: u16) -> Result<Verified, StoreError> {
        let verified = self.inner.verify(after, limit).await?;
        let takes = verified.accounts * self.each_takes.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(takes)).await;
        Ok(verified)
    }

    async fn audit_trail(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        self.inner.audit_trail(page).await
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
        self.alone.load(Ordering::SeqCst) || self.down.load(Ordering::SeqCst)
    }

    async fn check(&self, account: AccountId, limit: u32) -> Result<RateDecision, LimiterError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(LimiterError("down".into()));
        }
        self.inner.check(account, limit).await
    }
}
