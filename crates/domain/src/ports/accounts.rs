//! Accounts, their keys and their credits. What operators change of them is [`super::operators`].

use super::StoreError;
use crate::Timestamp;
use crate::account::{Account, AccountStatus, KeyRecord, Overrides, Principal};
use crate::api_key::KeyHash;
use crate::credits::CreditEntry;
use crate::ids::{AccountId, AuditId, EntryId, KeyId};
use crate::page::{Page, PageRequest};
use crate::tier::Tier;
use async_trait::async_trait;

#[derive(Debug, Clone)]
pub struct NewAccount {
    pub id: AccountId,
    pub name: String,
    pub email: Option<String>,
    pub tier: Tier,
    pub overrides: Overrides,
}

/// What changes; `None` leaves as it is.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    pub name: Option<String>,
    pub email: Option<Option<String>>,
    pub tier: Option<Tier>,
    pub status: Option<AccountStatus>,
    pub overrides: Option<Overrides>,
}

#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    pub tier: Option<Tier>,
    /// Part of the name or the e-mail address, case-insensitive.
    pub text: Option<String>,
}

#[derive(Debug, Clone)]
pub struct NewKey {
    pub id: KeyId,
    pub account_id: AccountId,
    pub name: String,
    pub prefix: String,
    pub hash: KeyHash,
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub struct TopUp {
    pub id: EntryId,
    pub account_id: AccountId,
    /// At least 1.
    pub amount: i64,
    pub reason: String,
}

/// An account's numbers, all of one moment: the month's grant and lapse counted even where they are not yet written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub balance: i64,
    /// Credits of generations that have not ended.
    pub reserved: i64,
    /// This month's generations, refunded ones not counted.
    pub used: i64,
    pub resets_at: Timestamp,
}

/// One account whose books do not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    pub account_id: AccountId,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub accounts: u64,
    pub discrepancies: Vec<Discrepancy>,
    /// Where to go on; `None` at the end.
    pub next: Option<AccountId>,
}

/// One change by an operator: who, what, when, from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub id: AuditId,
    /// The key that acted, by its display prefix.
    pub actor: String,
    /// Such as `account.create`.
    pub action: String,
    /// The id of what was changed.
    pub subject: Option<String>,
    pub address: Option<String>,
    pub request_id: String,
    pub created_at: Timestamp,
}

#[async_trait]
pub trait Accounts: Send + Sync {
    /// Whose key this is; `None` when it is unknown, revoked or expired by the ledger's clock. Suspended accounts are returned.
    async fn authenticate(&self, hash: &KeyHash) -> Result<Option<Principal>, StoreError>;

    async fn create(&self, account: NewAccount) -> Result<Account, StoreError>;
    async fn show(&self, id: AccountId) -> Result<Option<Account>, StoreError>;
    async fn list(&self, filter: &AccountFilter, page: PageRequest) -> Result<Page<Account>, StoreError>;

    /// `None`: no such account.
    async fn create_key(&self, key: NewKey) -> Result<Option<KeyRecord>, StoreError>;
    async fn keys(&self, account_id: AccountId) -> Result<Vec<KeyRecord>, StoreError>;
    /// The system account and its one key, made or brought up to date at a gateway's start.
    async fn ensure_system(&self, account: NewAccount, key: NewKey) -> Result<(), StoreError>;

    async fn usage(&self, id: AccountId) -> Result<Option<Usage>, StoreError>;
    async fn entries(&self, id: AccountId, page: PageRequest) -> Result<Page<CreditEntry>, StoreError>;
    /// Adds up the books of at most `limit` accounts after `after`: balance against entries, reserved against live work,
    /// one debit for each generation that cost, one refund for each that failed or was canceled. No lock, one account a snapshot.
    async fn verify(&self, after: Option<AccountId>, limit: u16) -> Result<Verified, StoreError>;

    async fn audit_trail(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError>;
}
