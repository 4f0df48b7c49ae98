//! The `Accounts` port on SQLite: one use case a file. Nothing is decided here.

mod act;
mod audit;
mod authenticate;
mod credits;
mod keys;
mod profile;
pub(crate) mod purse;
mod system;
mod verify;

use crate::Ledger;
use crate::open::commit;
use async_trait::async_trait;
use domain::account::{Account, KeyRecord, Principal};
use domain::api_key::KeyHash;
use domain::credits::CreditEntry;
use domain::ids::AccountId;
use domain::page::{Page, PageRequest};
use domain::ports::StoreError;
use domain::ports::accounts::{AccountFilter, Accounts, AuditEntry, NewAccount, NewKey, Usage, Verified};

#[async_trait]
impl Accounts for Ledger {
    async fn authenticate(&self, hash: &KeyHash) -> Result<Option<Principal>, StoreError> {
        Ok(authenticate::authenticate(self, hash).await?)
    }

    async fn create(&self, account: NewAccount) -> Result<Account, StoreError> {
        let (mut transaction, now) = self.write().await?;
        let account = profile::create(&mut transaction, now, &account).await?;
        commit(transaction).await?;
        Ok(account)
    }

    async fn show(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        Ok(profile::show(self, id).await?)
    }

    async fn list(&self, filter: &AccountFilter, page: PageRequest) -> Result<Page<Account>, StoreError> {
        Ok(profile::list(self, filter, page).await?)
    }

    async fn create_key(&self, key: NewKey) -> Result<Option<KeyRecord>, StoreError> {
        let (mut transaction, now) = self.write().await?;
        let record = keys::create(&mut transaction, now, &key).await?;
        commit(transaction).await?;
        Ok(record)
    }

    async fn keys(&self, account_id: AccountId) -> Result<Vec<KeyRecord>, StoreError> {
        Ok(keys::list(self, account_id).await?)
    }

    async fn ensure_system(&self, account: NewAccount, key: NewKey) -> Result<(), StoreError> {
        Ok(system::ensure(self, account, key).await?)
    }

    async fn usage(&self, id: AccountId) -> Result<Option<Usage>, StoreError> {
        Ok(credits::usage(self, id).await?)
    }

    async fn entries(&self, id: AccountId, page: PageRequest) -> Result<Page<CreditEntry>, StoreError> {
        Ok(credits::entries(self, id, page).await?)
    }

    async fn verify(&self, after: Option<AccountId>, limit: u16) -> Result<Verified, StoreError> {
        Ok(verify::verify(self, after, limit).await?)
    }

    async fn audit_trail(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        Ok(audit::trail(self, page).await?)
    }
}
