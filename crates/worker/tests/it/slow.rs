//! A ledger's generations that are never read to the end; all else is as it is.

use async_trait::async_trait;
use domain::admission::Submission;
use domain::event::Change;
use domain::generation::{CanceledBy, Generation};
use domain::ids::{AccountId, GenerationId};
use domain::page::{Page, PageRequest};
use domain::ports::StoreError;
use domain::ports::generations::{
    Attempt, Backlog, Canceled, GenerationFilter, Generations, Place, QueueStats, Scope, Submitted,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) struct Slow {
    inner: Arc<dyn Generations>,
    /// Somebody who asked has stopped waiting.
    pub(crate) given_up: AtomicBool,
}

impl Slow {
    pub(crate) fn on(inner: &Arc<dyn Generations>) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), given_up: AtomicBool::new(false) })
    }
}

struct Waiting<'s>(&'s Slow);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.given_up.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Generations for Slow {
    async fn submit(&self, batch: &[Submission]) -> Result<Vec<Submitted>, StoreError> {
        self.inner.submit(batch).await
    }

    async fn show(&self, scope: Scope, id: GenerationId) -> Result<Option<Generation>, StoreError> {
        self.inner.show(scope, id).await
    }

    async fn show_many(&self, _ids: &[GenerationId]) -> Result<Vec<Generation>, StoreError> {
        let _waiting = Waiting(self);
        std::future::pending().await
    }

    async fn list(
        &self,
        scope: Scope,
        filter: &GenerationFilter,
        page: PageRequest,
    ) -> Result<Page<Generation>, StoreError> {
        self.inner.list(scope, filter, page).await
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
