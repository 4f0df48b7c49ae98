//! The `Work` port on SQLite: one use case a file. Nothing is decided here.

mod adopt;
mod claim;
mod closed;
mod held;
pub(crate) mod history;
pub(crate) mod live;
mod put_back;
mod rendering;
pub(crate) mod retag;
mod settle;
mod step;
pub(crate) mod workers;

use crate::Ledger;
use crate::open::commit;
use async_trait::async_trait;
use domain::ids::{GenerationId, WorkerId};
use domain::lease::{Fence, Held, LeaseRef};
use domain::ports::StoreError;
use domain::ports::work::{
    Accepted, Adopted, Applied, Claimed, Load, NewWorker, PutBack, Renewal, Settlement, StepReport, Stepped, Work,
    WorkerView,
};
use std::time::Duration;

#[async_trait]
impl Work for Ledger {
    async fn register(&self, worker: NewWorker) -> Result<(), StoreError> {
        Ok(workers::register(self, worker).await?)
    }

    async fn renew(&self, worker: WorkerId, lease: Duration, load: Load) -> Result<Renewal, StoreError> {
        Ok(workers::renew(self, worker, lease, load).await?)
    }

    async fn retire(&self, worker: WorkerId) -> Result<(), StoreError> {
        Ok(workers::retire(self, worker).await?)
    }

    async fn workers(&self) -> Result<Vec<WorkerView>, StoreError> {
        Ok(workers::list(self).await?)
    }

    async fn ask_to_drain(&self, worker: WorkerId) -> Result<bool, StoreError> {
        let (mut transaction, now) = self.write().await?;
        let asked = workers::ask_to_drain(&mut transaction, now, worker).await?;
        commit(transaction).await?;
        Ok(asked)
    }

    async fn claim(&self, worker: WorkerId, leases: &[LeaseRef]) -> Result<Vec<Claimed>, StoreError> {
        Ok(claim::claim(self, worker, leases).await?)
    }

    async fn rendering(&self, worker: WorkerId, accepted: &[Accepted]) -> Result<Vec<Applied>, StoreError> {
        Ok(rendering::rendering(self, worker, accepted).await?)
    }

    async fn put_back(&self, worker: WorkerId, items: &[PutBack]) -> Result<Vec<Applied>, StoreError> {
        Ok(put_back::put_back(self, worker, items).await?)
    }

    async fn settle(&self, worker: WorkerId, settlements: &[Settlement]) -> Result<Vec<Applied>, StoreError> {
        Ok(settle::settle(self, worker, settlements).await?)
    }

    async fn closed(&self, worker: WorkerId, held: &[Held]) -> Result<(), StoreError> {
        Ok(closed::closed(self, worker, held).await?)
    }

    async fn step(&self, worker: WorkerId, report: StepReport) -> Result<Stepped, StoreError> {
        Ok(step::step(self, worker, report).await?)
    }

    async fn adopt(&self, worker: WorkerId, limit: u16) -> Result<Vec<Adopted>, StoreError> {
        Ok(adopt::adopt(self, worker, limit).await?)
    }

    async fn resume(&self, worker: WorkerId, held: &[Held]) -> Result<Vec<Adopted>, StoreError> {
        Ok(adopt::resume(self, worker, held).await?)
    }

    async fn held(&self, worker: WorkerId) -> Result<Vec<(GenerationId, Fence)>, StoreError> {
        Ok(held::held(self, worker).await?)
    }
}
