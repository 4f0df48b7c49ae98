//! The `Work` port, one use case a file. Every write compares owner and fence under the row's lock; rows are locked in id order.

mod adopt;
mod claim;
mod put_back;
mod rendering;
mod settle;
mod step;
mod workers;

use crate::ledger::Ledger;
use async_trait::async_trait;
use domain::event::Change;
use domain::ids::{AccountId, GenerationId, WorkerId};
use domain::lease::{Fence, Held, LeaseRef};
use domain::ports::work::{
    Accepted, Adopted, Applied, Claimed, Load, NewWorker, PutBack, Renewal, Settlement, StepReport, Stepped, WorkerView,
};
use domain::ports::{StoreError, Work};
use std::time::Duration;
use uuid::Uuid;

#[async_trait]
impl Work for Ledger {
    async fn register(&self, worker: NewWorker) -> Result<(), StoreError> {
        self.write(|| workers::register(self, &worker)).await
    }

    async fn renew(&self, worker: WorkerId, lease: Duration, load: Load) -> Result<Renewal, StoreError> {
        self.write(|| workers::renew(self, worker, lease, load)).await
    }

    async fn retire(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.write(|| workers::retire(self, worker)).await
    }

    async fn workers(&self) -> Result<Vec<WorkerView>, StoreError> {
        self.read(|| workers::list(self)).await
    }

    async fn ask_to_drain(&self, worker: WorkerId) -> Result<bool, StoreError> {
        self.write(|| workers::ask_to_drain(self, worker)).await
    }

    async fn claim(&self, worker: WorkerId, leases: &[LeaseRef]) -> Result<Vec<Claimed>, StoreError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|| claim::claim(self, worker, leases)).await
    }

    async fn rendering(&self, worker: WorkerId, accepted: &[Accepted]) -> Result<Vec<Applied>, StoreError> {
        self.write(|| rendering::rendering(self, worker, accepted)).await
    }

    async fn put_back(&self, worker: WorkerId, items: &[PutBack]) -> Result<Vec<Applied>, StoreError> {
        self.write(|| put_back::put_back(self, worker, items)).await
    }

    async fn settle(&self, worker: WorkerId, settlements: &[Settlement]) -> Result<Vec<Applied>, StoreError> {
        self.write(|| settle::settle(self, worker, settlements)).await
    }

    async fn closed(&self, worker: WorkerId, held: &[Held]) -> Result<(), StoreError> {
        self.write(|| settle::closed(self, worker, held)).await
    }

    async fn step(&self, worker: WorkerId, report: StepReport) -> Result<Stepped, StoreError> {
        step::step(self, worker, report).await
    }

    async fn adopt(&self, worker: WorkerId, limit: u16) -> Result<Vec<Adopted>, StoreError> {
        self.write(|| adopt::adopt(self, worker, limit)).await
    }

    async fn held(&self, worker: WorkerId) -> Result<Vec<(GenerationId, Fence)>, StoreError> {
        self.read(|| workers::held(self, worker)).await
    }
}

/// The keys of fenced writes, a column a list.
fn fenced<'a>(held: impl Iterator<Item = &'a Held>) -> (Vec<Uuid>, Vec<i64>) {
    held.map(|held| (held.id.uuid(), held.fence.0)).unzip()
}

/// What one fenced write of a batch did, as its row says.
struct Outcome {
    id: Uuid,
    closing: bool,
    /// Of the row that was changed; none was, where this is absent.
    account_id: Option<Uuid>,
    version: Option<i32>,
}

impl From<Outcome> for Applied {
    fn from(row: Outcome) -> Self {
        match (row.account_id, row.version) {
            (Some(account_id), Some(version)) => Self::Applied(Change {
                id: GenerationId::from_uuid(row.id),
                account_id: AccountId::from_uuid(account_id),
                version: crate::rows::natural(version),
                progress: None,
            }),
            _ if row.closing => Self::Closing,
            _ => Self::Stale,
        }
    }
}
