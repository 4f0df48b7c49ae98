//! The `Generations` port on SQLite: one use case a file. Nothing is decided here.

mod attempts;
pub(crate) mod cancel;
pub(crate) mod end;
mod list;
mod place;
pub(crate) mod queue;
mod retain;
pub(crate) mod seen;
mod show;
mod submit;

use crate::Ledger;
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
use std::time::Duration;

#[async_trait]
impl Generations for Ledger {
    async fn submit(&self, batch: &[Submission]) -> Result<Vec<Submitted>, StoreError> {
        Ok(submit::submit(self, batch).await?)
    }

    async fn show(&self, scope: Scope, id: GenerationId) -> Result<Option<Generation>, StoreError> {
        Ok(show::show(self, scope, id).await?)
    }

    async fn show_many(&self, ids: &[GenerationId]) -> Result<Vec<Generation>, StoreError> {
        Ok(show::show_many(self, ids).await?)
    }

    async fn list(
        &self,
        scope: Scope,
        filter: &GenerationFilter,
        page: PageRequest,
    ) -> Result<Page<Generation>, StoreError> {
        Ok(list::list(self, scope, filter, page).await?)
    }

    async fn attempts(&self, id: GenerationId) -> Result<Vec<Attempt>, StoreError> {
        Ok(attempts::attempts(self, id).await?)
    }

    async fn cancel(&self, scope: Scope, id: GenerationId, by: CanceledBy) -> Result<Canceled, StoreError> {
        Ok(cancel::cancel(self, scope, id, by).await?)
    }

    async fn expire(&self, limit: u16) -> Result<Vec<(Change, bool)>, StoreError> {
        Ok(cancel::expire(self, limit).await?)
    }

    async fn backlog(&self, account_id: AccountId) -> Result<Backlog, StoreError> {
        Ok(queue::backlog(self, account_id).await?)
    }

    async fn queue(&self) -> Result<QueueStats, StoreError> {
        Ok(queue::queue(self).await?)
    }

    async fn place(&self, id: GenerationId) -> Result<Option<Place>, StoreError> {
        Ok(place::place(self, id).await?)
    }

    async fn retain(&self, succeeded: u32, failed: u32, results_for: Duration) -> Result<u64, StoreError> {
        Ok(retain::retain(self, succeeded, failed, results_for).await?)
    }
}
