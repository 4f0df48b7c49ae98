//! The `Accounts` port, one use case a file. Which calls may be repeated is said here; what they do, there.

mod act;
mod audit;
mod authenticate;
mod credits;
mod keys;
mod profile;
mod system;
mod verify;

use crate::ledger::{Ledger, commit};
use async_trait::async_trait;
use domain::account::{Account, KeyRecord, Principal};
use domain::api_key::KeyHash;
use domain::credits::CreditEntry;
use domain::ids::AccountId;
use domain::page::{Page, PageRequest};
use domain::ports::accounts::{AccountFilter, AuditEntry, NewAccount, NewKey, Usage, Verified};
use domain::ports::{Accounts, StoreError};

#[async_trait]
impl Accounts for Ledger {
    async fn authenticate(&self, hash: &KeyHash) -> Result<Option<Principal>, StoreError> {
        self.read(|| authenticate::authenticate(self, hash)).await
    }

    async fn create(&self, account: NewAccount) -> Result<Account, StoreError> {
        self.write(|| async {
            let mut transaction = self.begin().await?;
            let account = profile::create(&mut transaction, &account).await?;
            commit(transaction).await?;
            Ok(account)
        })
        .await
    }

    async fn show(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.read(|| profile::show(self, id)).await
    }

    async fn list(&self, filter: &AccountFilter, page: PageRequest) -> Result<Page<Account>, StoreError> {
        self.read(|| profile::list(self, filter, page)).await
    }

    async fn create_key(&self, key: NewKey) -> Result<Option<KeyRecord>, StoreError> {
        self.write(|| async {
            let mut transaction = self.begin().await?;
            let record = keys::create(&mut transaction, &key).await?;
            commit(transaction).await?;
            Ok(record)
        })
        .await
    }

    async fn keys(&self, account_id: AccountId) -> Result<Vec<KeyRecord>, StoreError> {
        self.read(|| keys::list(self, account_id)).await
    }

    async fn ensure_system(&self, account: NewAccount, key: NewKey) -> Result<(), StoreError> {
        self.write(|| system::ensure_system(self, &account, &key)).await
    }

    async fn usage(&self, id: AccountId) -> Result<Option<Usage>, StoreError> {
        self.read(|| credits::usage(self, id)).await
    }

    async fn entries(&self, id: AccountId, page: PageRequest) -> Result<Page<CreditEntry>, StoreError> {
        self.read(|| credits::entries(self, id, page)).await
    }

    async fn verify(&self, after: Option<AccountId>, limit: u16) -> Result<Verified, StoreError> {
        verify::verify(self, after, limit).await
    }

    async fn audit_trail(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        self.read(|| audit::trail(self, page)).await
    }
}
