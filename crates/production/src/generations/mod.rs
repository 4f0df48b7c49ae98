//! The `Generations` port, one use case a file. Which calls may be repeated is said here; what they do, there.

mod attempts;
pub(crate) mod cancel;
mod end;
mod list;
mod look;
mod place;
pub(crate) mod queue;
mod retain;
mod show;
mod submit;

pub(crate) use end::End;
pub(crate) use queue::Counted;
pub(crate) use submit::Crowd;

use crate::ledger::Ledger;
use async_trait::async_trait;
use domain::admission::Submission;
use domain::event::Change;
use domain::generation::{CanceledBy, Generation};
use domain::ids::{AccountId, GenerationId};
use domain::page::{Page, PageRequest};
use domain::ports::generations::{Attempt, Backlog, Canceled, GenerationFilter, Place, QueueStats, Scope, Submitted};
use domain::ports::{Generations, StoreError};
use std::time::Duration;

#[async_trait]
impl Generations for Ledger {
    async fn submit(&self, batch: &[Submission]) -> Result<Vec<Submitted>, StoreError> {
        submit::submit(self, batch).await
    }

    async fn show(&self, scope: Scope, id: GenerationId) -> Result<Option<Generation>, StoreError> {
        self.read(|| show::one(self, scope, id)).await
    }

    async fn show_many(&self, ids: &[GenerationId]) -> Result<Vec<Generation>, StoreError> {
        self.read(|| show::many(self, ids)).await
    }

    async fn list(
        &self,
        scope: Scope,
        filter: &GenerationFilter,
        page: PageRequest,
    ) -> Result<Page<Generation>, StoreError> {
        self.read(|| list::list(self, scope, filter, page)).await
    }

    async fn attempts(&self, id: GenerationId) -> Result<Vec<Attempt>, StoreError> {
        self.read(|| attempts::attempts(self, id)).await
    }

    async fn cancel(&self, scope: Scope, id: GenerationId, by: CanceledBy) -> Result<Canceled, StoreError> {
        let was_owned = self.write(|| cancel::cancel(self, scope, id, by)).await?;
        // What is final stays so: it is read after the commit, outside the transaction.
        let Some(generation) = self.show(scope, id).await? else { return Ok(Canceled::NotFound) };
        let generation = Box::new(generation);
        Ok(match was_owned {
            Some(tell_workers) => Canceled::Canceled { generation, tell_workers },
            None => Canceled::AlreadyFinal(generation),
        })
    }

    async fn expire(&self, limit: u16) -> Result<Vec<(Change, bool)>, StoreError> {
        self.write(|| cancel::expire(self, limit)).await
    }

    async fn backlog(&self, account_id: AccountId) -> Result<Backlog, StoreError> {
        self.read(|| queue::backlog(self, account_id)).await
    }

    async fn queue(&self) -> Result<QueueStats, StoreError> {
        self.read(|| queue::stats(self)).await
    }

    async fn place(&self, id: GenerationId) -> Result<Option<Place>, StoreError> {
        self.read(|| place::place(self, id)).await
    }

    async fn retain(&self, succeeded: u32, failed: u32, results_for: Duration) -> Result<u64, StoreError> {
        retain::retain(self, succeeded, failed, results_for).await
    }
}
