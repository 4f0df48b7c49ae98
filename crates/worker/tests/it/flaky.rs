//! A ledger that works and does not always say so: every call goes to the real one, and some answers are lost on the way back.

use async_trait::async_trait;
use domain::generation::CanceledBy;
use domain::ids::{GenerationId, WorkerId};
use domain::lease::{Fence, Held, LeaseRef};
use domain::ports::StoreError;
use domain::ports::generations::{Generations, Scope};
use domain::ports::work::{
    Accepted, Adopted, Applied, Claimed, Load, NewWorker, PutBack, Renewal, Settlement, StepReport, Stepped, Work,
    WorkerView,
};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct Losses {
    /// How many of the next claims that took something are committed and never answered.
    pub(crate) claims: AtomicU32,
    /// How many of the next adoptions that took something are committed and never answered.
    pub(crate) adoptions: AtomicU32,
    /// How many of the next settlements are not taken at all.
    pub(crate) settlements: AtomicU32,
    /// How many of the next settlements are committed and never answered.
    pub(crate) settlement_answers: AtomicU32,
    /// How often the ledger was asked for work.
    pub(crate) claims_asked: AtomicU32,
    /// How many of the next renewals fail.
    pub(crate) renewals: AtomicU32,
    /// How many of the next settlements, those in doubt apart, are told to be more than the ledger can read.
    pub(crate) unreadable: AtomicU32,
    /// Through which whatever goes back next is canceled just before.
    pub(crate) canceling: Mutex<Option<Arc<dyn Generations>>>,
    /// Something is being put back.
    pub(crate) putting_back: Notify,
    /// How long that takes, in milliseconds.
    pub(crate) put_back_takes: AtomicU64,
}

pub(crate) struct Flaky {
    pub(crate) inner: Arc<dyn Work>,
    pub(crate) losses: Arc<Losses>,
}

fn taken(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn out() -> StoreError {
    StoreError::Unavailable("scripted".into())
}

#[async_trait]
impl Work for Flaky {
    async fn register(&self, worker: NewWorker) -> Result<(), StoreError> {
        self.inner.register(worker).await
    }

    async fn renew(&self, worker: WorkerId, lease: Duration, load: Load) -> Result<Renewal, StoreError> {
        if taken(&self.losses.renewals) { Err(out()) } else { self.inner.renew(worker, lease, load).await }
    }

    async fn retire(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.inner.retire(worker).await
    }

    async fn workers(&self) -> Result<Vec<WorkerView>, StoreError> {
        self.inner.workers().await
    }

    async fn ask_to_drain(&self, worker: WorkerId) -> Result<bool, StoreError> {
        self.inner.ask_to_drain(worker).await
    }

    async fn claim(&self, worker: WorkerId, leases: &[LeaseRef]) -> Result<Vec<Claimed>, StoreError> {
        self.losses.claims_asked.fetch_add(1, Ordering::SeqCst);
        let claimed = self.inner.claim(worker, leases).await?;
        if !claimed.is_empty() && taken(&self.losses.claims) {
            return Err(StoreError::InDoubt("scripted".into()));
        }
        Ok(claimed)
    }

    async fn rendering(&self, worker: WorkerId, accepted: &[Accepted]) -> Result<Vec<Applied>, StoreError> {
        self.inner.rendering(worker, accepted).await
    }

    async fn put_back(&self, worker: WorkerId, items: &[PutBack]) -> Result<Vec<Applied>, StoreError> {
        let canceling = self.losses.canceling.lock().unwrap().take();
        if let Some(generations) = canceling {
            for item in items {
                generations.cancel(Scope::Everyone, item.held.id, CanceledBy::Customer).await?;
            }
        }
        self.losses.putting_back.notify_waiters();
        tokio::time::sleep(Duration::from_millis(self.losses.put_back_takes.load(Ordering::SeqCst))).await;
        self.inner.put_back(worker, items).await
    }

    async fn settle(&self, worker: WorkerId, settlements: &[Settlement]) -> Result<Vec<Applied>, StoreError> {
        if taken(&self.losses.settlements) {
            return Err(out());
        }
        if self.losses.settlement_answers.load(Ordering::SeqCst) == 0 && taken(&self.losses.unreadable) {
            return Err(StoreError::Corrupt("scripted".into()));
        }
        let applied = self.inner.settle(worker, settlements).await?;
        if taken(&self.losses.settlement_answers) { Err(StoreError::InDoubt("scripted".into())) } else { Ok(applied) }
    }

    async fn closed(&self, worker: WorkerId, held: &[Held]) -> Result<(), StoreError> {
        self.inner.closed(worker, held).await
    }

    async fn step(&self, worker: WorkerId, report: StepReport) -> Result<Stepped, StoreError> {
        self.inner.step(worker, report).await
    }

    async fn adopt(&self, worker: WorkerId, limit: u16) -> Result<Vec<Adopted>, StoreError> {
        let adopted = self.inner.adopt(worker, limit).await?;
        if !adopted.is_empty() && taken(&self.losses.adoptions) {
            return Err(StoreError::InDoubt("scripted".into()));
        }
        Ok(adopted)
    }

    async fn resume(&self, worker: WorkerId, held: &[Held]) -> Result<Vec<Adopted>, StoreError> {
        self.inner.resume(worker, held).await
    }

    async fn held(&self, worker: WorkerId) -> Result<Vec<(GenerationId, Fence)>, StoreError> {
        self.inner.held(worker).await
    }
}
