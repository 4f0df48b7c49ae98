//! The `Work` port, one use case a file. Every write compares owner and fence under the row's lock; rows are locked in id order.
//!
//! What a fenced write carries of a batch is joined once, where its rows are locked: joined again, a hundred would be compared with a hundred.
//! The limits by `cardinality` leave nothing out. The planner takes a limit that it does not know for a small one, and so looks everything up by its key,
//! also in a plan that it made while the table was small enough to be read as a whole.

mod adopt;
mod claim;
mod closed;
mod held;
mod put_back;
mod rendering;
mod retag;
mod settle;
mod step;
pub(crate) mod workers;

pub(crate) use retag::retag;

use crate::ledger::{Ledger, commit};
use crate::rows::natural;
use async_trait::async_trait;
use domain::event::Change;
use domain::ids::{AccountId, GenerationId, WorkerId};
use domain::lease::{Fence, Held, LeaseRef};
use domain::ports::work::{
    Accepted, Adopted, Applied, Claimed, Load, NewWorker, PutBack, Renewal, Settlement, StepReport, Stepped, WorkerView,
};
use domain::ports::{StoreError, Work};
use std::collections::{HashMap, HashSet};
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
        self.write(|| async {
            let mut transaction = self.begin().await?;
            let asked = workers::ask_to_drain(&mut transaction, worker).await?;
            commit(transaction).await?;
            Ok(asked)
        })
        .await
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
        self.write(|| closed::closed(self, worker, held)).await
    }

    async fn step(&self, _worker: WorkerId, report: StepReport) -> Result<Stepped, StoreError> {
        step::step(self, report).await
    }

    async fn adopt(&self, worker: WorkerId, limit: u16) -> Result<Vec<Adopted>, StoreError> {
        self.write(|| adopt::adopt(self, worker, limit, &[])).await
    }

    async fn resume(&self, worker: WorkerId, held: &[Held]) -> Result<Vec<Adopted>, StoreError> {
        self.write(|| adopt::adopt(self, worker, 0, held)).await
    }

    async fn held(&self, worker: WorkerId) -> Result<Vec<(GenerationId, Fence)>, StoreError> {
        self.read(|| held::held(self, worker)).await
    }
}

/// The keys of fenced writes, a column a list.
fn fenced<'a>(held: impl Iterator<Item = &'a Held>) -> (Vec<Uuid>, Vec<i64>) {
    held.map(|held| (held.id.uuid(), held.fence.0)).unzip()
}

/// A batch that names something twice, for its repeats: each finds what the first of them left.
struct Repeats(Vec<usize>);

/// The items without repeats, in order.
fn once<T>(items: &[T], held: impl Fn(&T) -> &Held) -> (Vec<&T>, Repeats) {
    let (mut seen, mut unique, mut places) = (HashMap::new(), Vec::new(), Vec::new());
    for item in items {
        let place = *seen.entry(*held(item)).or_insert_with(|| {
            unique.push(item);
            unique.len() - 1
        });
        places.push(place);
    }
    (unique, Repeats(places))
}

impl Repeats {
    /// The outcomes of all items out of those of the unique ones.
    fn spread(&self, outcomes: &[Applied]) -> Vec<Applied> {
        let mut told = HashSet::new();
        let answer = |place: &usize| match outcomes.get(*place) {
            Some(Applied::Applied(_)) if !told.insert(*place) => Applied::Stale,
            Some(outcome) => *outcome,
            None => Applied::Stale,
        };
        self.0.iter().map(answer).collect()
    }
}

/// What one fenced write of a batch did, as its row says. A write that changed nothing has none.
struct Outcome {
    /// Its place in the batch, from 1.
    n: i64,
    closing: bool,
    /// Of the row that was changed; none was, where these are absent.
    account_id: Option<Uuid>,
    version: Option<i32>,
}

/// One outcome for each of the batch, in order.
fn applied(ids: &[Uuid], rows: Vec<Outcome>) -> Vec<Applied> {
    let mut applied = vec![Applied::Stale; ids.len()];
    for row in rows {
        let place = usize::try_from(row.n - 1).ok();
        let Some((place, id)) = place.and_then(|place| Some((applied.get_mut(place)?, ids.get(place)?))) else {
            continue;
        };
        *place = match (row.account_id, row.version) {
            (Some(account_id), Some(version)) => Applied::Applied(Change {
                id: GenerationId::from_uuid(*id),
                account_id: AccountId::from_uuid(account_id),
                version: natural(version),
                progress: None,
            }),
            _ if row.closing => Applied::Closing,
            _ => Applied::Stale,
        };
    }
    applied
}
