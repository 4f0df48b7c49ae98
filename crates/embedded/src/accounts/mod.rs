//! The `Accounts` port on SQLite: one use case a file. Nothing is decided here.

mod audit;
mod authenticate;
mod credits;
mod keys;
mod profile;
pub(crate) mod purse;
mod system;
mod verify;

use crate::Ledger;
use async_trait::async_trait;
use domain::account::{Account, KeyRecord, Principal};
use domain::api_key::KeyHash;
use domain::credits::CreditEntry;
use domain::ids::{AccountId, KeyId};
use domain::page::{Page, PageRequest};
use domain::ports::StoreError;
use domain::ports::accounts::{
    AccountChange, AccountFilter, Accounts, AuditEntry, NewAccount, NewKey, TopUp, Usage, Verified,
};
use std::time::Duration;

#[async_trait]
impl Accounts for Ledger {
    async fn authenticate(&self, hash: &KeyHash) -> Result<Option<Principal>, StoreError> {
        Ok(authenticate::authenticate(self, hash).await?)
    }

    async fn create(&self, account: NewAccount) -> Result<Account, StoreError> {
        Ok(profile::create(self, account).await?)
    }

    async fn show(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        Ok(profile::show(self, id).await?)
    }

    async fn list(&self, filter: &AccountFilter, page: PageRequest) -> Result<Page<Account>, StoreError> {
        Ok(profile::list(self, filter, page).await?)
    }

    async fn change(&self, id: AccountId, change: AccountChange) -> Result<Option<Account>, StoreError> {
        Ok(profile::change(self, id, change).await?)
    }

    async fn create_key(&self, key: NewKey) -> Result<Option<KeyRecord>, StoreError> {
        Ok(keys::create(self, key).await?)
    }

    async fn keys(&self, account_id: AccountId) -> Result<Vec<KeyRecord>, StoreError> {
        Ok(keys::list(self, account_id).await?)
    }

    async fn end_key(
        &self,
        account_id: AccountId,
        id: KeyId,
        after: Duration,
    ) -> Result<Option<KeyRecord>, StoreError> {
        Ok(keys::end(self, account_id, id, after).await?)
    }

    async fn ensure_system(&self, account: NewAccount, key: NewKey) -> Result<(), StoreError> {
        Ok(system::ensure(self, account, key).await?)
    }

    async fn top_up(&self, top_up: TopUp) -> Result<Option<CreditEntry>, StoreError> {
        Ok(credits::top_up(self, top_up).await?)
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

    async fn audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        Ok(audit::append(self, entry).await?)
    }

    async fn audit_trail(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        Ok(audit::trail(self, page).await?)
    }
}
