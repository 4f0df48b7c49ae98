//! Ports whose every call fails alike, but for the one that knows keys: so that each handler meets its own failure, not the door's.

use async_trait::async_trait;
use domain::Timestamp;
use domain::account::{Account, KeyRecord, Principal};
use domain::admission::Submission;
use domain::api_key::KeyHash;
use domain::credits::CreditEntry;
use domain::event::{Change, Notice};
use domain::generation::{CanceledBy, Generation};
use domain::ids::{AccountId, GenerationId, TokenId, WorkerId};
use domain::lease::{Fence, Held, LeaseRef};
use domain::page::{Page, PageRequest};
use domain::ports::accounts::{AccountFilter, AuditEntry, NewAccount, NewKey, Usage, Verified};
use domain::ports::doorbell::{DeadLetter, DoorbellError, Rings};
use domain::ports::generations::{Attempt, Backlog, Canceled, GenerationFilter, Place, QueueStats, Scope, Submitted};
use domain::ports::operators::{Acted, ChangeKey, Deed, Earlier, Order};
use domain::ports::pool::PoolError;
use domain::ports::tokens::{Epoch, Guarded};
use domain::ports::work::{
    Accepted, Adopted, Applied, Claimed, Load, NewWorker, PutBack, Renewal, Settlement, StepReport, Stepped, WorkerView,
};
use domain::ports::{Accounts, Doorbell, Generations, Operators, Scaling, StoreError, TokenAdmin, Work};
use domain::scaling::{Observed, Standing};
use domain::token::{ImportOutcome, PoolStats, TokenImport, TokenView};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Out of reach for the moment.
    Away,
    /// It answers what cannot be.
    Broken,
}

pub(crate) struct Nothing {
    pub(crate) keys: Arc<embedded::Ledger>,
    pub(crate) bell: Arc<dyn Doorbell>,
    pub(crate) gone: Gone,
}

impl Nothing {
    fn store<T>(&self) -> Result<T, StoreError> {
        Err(match self.gone {
            Gone::Away => StoreError::Unavailable("away".to_owned()),
            Gone::Broken => StoreError::Corrupt("broken".to_owned()),
        })
    }

    fn bell<T>(&self) -> Result<T, DoorbellError> {
        match self.gone {
            Gone::Away => Err(DoorbellError("away".to_owned())),
            // A doorbell knows no other failure: what is left is a bug.
            Gone::Broken => panic!("a bug"),
        }
    }

    fn pool<T>(&self) -> Result<T, PoolError> {
        Err(match self.gone {
            Gone::Away => PoolError::Unavailable("away".to_owned()),
            Gone::Broken => PoolError::Internal("broken".to_owned()),
        })
    }
}

#[async_trait]
impl Accounts for Nothing {
    async fn authenticate(&self, hash: &KeyHash) -> Result<Option<Principal>, StoreError> {
        self.keys.authenticate(hash).await
    }
    async fn create(&self, _: NewAccount) -> Result<Account, StoreError> {
        self.store()
    }
    async fn show(&self, _: AccountId) -> Result<Option<Account>, StoreError> {
        self.store()
    }
    async fn list(&self, _: &AccountFilter, _: PageRequest) -> Result<Page<Account>, StoreError> {
        self.store()
    }
    async fn create_key(&self, _: NewKey) -> Result<Option<KeyRecord>, StoreError> {
        self.store()
    }
    async fn keys(&self, _: AccountId) -> Result<Vec<KeyRecord>, StoreError> {
        self.store()
    }
    async fn ensure_system(&self, _: NewAccount, _: NewKey) -> Result<(), StoreError> {
        Ok(())
    }
    async fn usage(&self, _: AccountId) -> Result<Option<Usage>, StoreError> {
        self.store()
    }
    async fn entries(&self, _: AccountId, _: PageRequest) -> Result<Page<CreditEntry>, StoreError> {
        self.store()
    }
    async fn verify(&self, _: Option<AccountId>, _: u16) -> Result<Verified, StoreError> {
        self.store()
    }
    async fn audit_trail(&self, _: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        self.store()
    }
}

#[async_trait]
impl Operators for Nothing {
    async fn act(&self, _: &Order, _: &Deed<'_>) -> Result<Acted, StoreError> {
        self.store()
    }
    async fn earlier(&self, _: &ChangeKey) -> Result<Option<Earlier>, StoreError> {
        self.store()
    }
}

#[async_trait]
impl Generations for Nothing {
    async fn submit(&self, _: &[Submission]) -> Result<Vec<Submitted>, StoreError> {
        self.store()
    }
    async fn show(&self, _: Scope, _: GenerationId) -> Result<Option<Generation>, StoreError> {
        self.store()
    }
    async fn show_many(&self, _: &[GenerationId]) -> Result<Vec<Generation>, StoreError> {
        self.store()
    }
    async fn list(&self, _: Scope, _: &GenerationFilter, _: PageRequest) -> Result<Page<Generation>, StoreError> {
        self.store()
    }
    async fn attempts(&self, _: GenerationId) -> Result<Vec<Attempt>, StoreError> {
        self.store()
    }
    async fn cancel(&self, _: Scope, _: GenerationId, _: CanceledBy) -> Result<Canceled, StoreError> {
        self.store()
    }
    async fn expire(&self, _: u16) -> Result<Vec<(Change, bool)>, StoreError> {
        self.store()
    }
    async fn backlog(&self, _: AccountId) -> Result<Backlog, StoreError> {
        // What is refused here is refused before the ledger is asked.
        Ok(Backlog { account: 0, total: 0 })
    }
    async fn queue(&self) -> Result<QueueStats, StoreError> {
        self.store()
    }
    async fn place(&self, _: GenerationId) -> Result<Option<Place>, StoreError> {
        self.store()
    }
    async fn retain(&self, _: u32, _: u32, _: Duration) -> Result<u64, StoreError> {
        self.store()
    }
}

#[async_trait]
impl Work for Nothing {
    async fn register(&self, _: NewWorker) -> Result<(), StoreError> {
        self.store()
    }
    async fn renew(&self, _: WorkerId, _: Duration, _: Load) -> Result<Renewal, StoreError> {
        self.store()
    }
    async fn retire(&self, _: WorkerId) -> Result<(), StoreError> {
        self.store()
    }
    async fn workers(&self) -> Result<Vec<WorkerView>, StoreError> {
        self.store()
    }
    async fn ask_to_drain(&self, _: WorkerId) -> Result<bool, StoreError> {
        self.store()
    }
    async fn claim(&self, _: WorkerId, _: &[LeaseRef]) -> Result<Vec<Claimed>, StoreError> {
        self.store()
    }
    async fn rendering(&self, _: WorkerId, _: &[Accepted]) -> Result<Vec<Applied>, StoreError> {
        self.store()
    }
    async fn put_back(&self, _: WorkerId, _: &[PutBack]) -> Result<Vec<Applied>, StoreError> {
        self.store()
    }
    async fn settle(&self, _: WorkerId, _: &[Settlement]) -> Result<Vec<Applied>, StoreError> {
        self.store()
    }
    async fn closed(&self, _: WorkerId, _: &[Held]) -> Result<(), StoreError> {
        self.store()
    }
    async fn step(&self, _: WorkerId, _: StepReport) -> Result<Stepped, StoreError> {
        self.store()
    }
    async fn adopt(&self, _: WorkerId, _: u16) -> Result<Vec<Adopted>, StoreError> {
        self.store()
    }
    async fn resume(&self, _: WorkerId, _: &[Held]) -> Result<Vec<Adopted>, StoreError> {
        self.store()
    }
    async fn held(&self, _: WorkerId) -> Result<Vec<(GenerationId, Fence)>, StoreError> {
        self.store()
    }
}

#[async_trait]
impl TokenAdmin for Nothing {
    async fn import(&self, _: Vec<TokenImport>) -> Result<Vec<ImportOutcome>, PoolError> {
        self.pool()
    }
    async fn list(&self) -> Result<Vec<TokenView>, PoolError> {
        self.pool()
    }
    async fn disable(&self, _: TokenId) -> Result<Option<TokenView>, PoolError> {
        self.pool()
    }
    async fn reinstate(&self, _: TokenId) -> Result<Option<TokenView>, PoolError> {
        self.pool()
    }
    async fn delete(&self, _: TokenId) -> Result<Option<()>, PoolError> {
        self.pool()
    }
    async fn stats(&self) -> Result<PoolStats, PoolError> {
        self.pool()
    }
}

#[async_trait]
impl Scaling for Nothing {
    async fn lead_scaling(&self, _: WorkerId, _: Duration) -> Result<Option<Epoch>, StoreError> {
        self.store()
    }
    async fn resign_scaling(&self, _: WorkerId) -> Result<(), StoreError> {
        self.store()
    }
    async fn observe(&self) -> Result<(Observed, Timestamp), StoreError> {
        self.store()
    }
    async fn standing(&self) -> Result<Option<(Standing, Duration)>, StoreError> {
        self.store()
    }
    async fn record(&self, _: Epoch, _: &Standing) -> Result<Guarded, StoreError> {
        self.store()
    }
}

/// It rings and is heard: only what was laid aside is out of reach.
#[async_trait]
impl Doorbell for Nothing {
    async fn ring_workers(&self, trace: Option<&str>) -> Result<(), DoorbellError> {
        self.bell.ring_workers(trace).await
    }
    async fn ring_gateways(&self, changes: &[Change]) -> Result<(), DoorbellError> {
        self.bell.ring_gateways(changes).await
    }
    async fn notify_workers(&self, notices: &[Notice]) -> Result<(), DoorbellError> {
        self.bell.notify_workers(notices).await
    }
    fn work(&self) -> Rings<Option<String>> {
        self.bell.work()
    }
    fn changes(&self) -> Rings<Vec<Change>> {
        self.bell.changes()
    }
    fn notices(&self) -> Rings<Vec<Notice>> {
        self.bell.notices()
    }
    async fn dead(&self) -> Result<u64, DoorbellError> {
        self.bell()
    }
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, DoorbellError> {
        self.bell()
    }
    async fn requeue_dead(&self, _: Uuid) -> Result<u32, DoorbellError> {
        self.bell()
    }
    async fn discard_dead(&self, _: Uuid) -> Result<u32, DoorbellError> {
        self.bell()
    }
}
