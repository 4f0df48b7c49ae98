//! What operators change. A change, its audit entry and what its key stands for are one transaction: none is there without the others.
//!
//! What the token pool, or many transactions, change is done elsewhere and told here afterwards, as [`Order::Told`].

use super::StoreError;
use super::accounts::{AccountChange, AuditEntry, NewAccount, NewKey, TopUp};
use crate::account::{Account, KeyRecord};
use crate::credits::CreditEntry;
use crate::generation::Generation;
use crate::ids::{AccountId, AuditId, GenerationId, KeyId, WorkerId};
use async_trait::async_trait;
use std::time::Duration;

/// One change. The ids of what it makes are the caller's.
#[derive(Debug, Clone)]
pub enum Order {
    CreateAccount(NewAccount),
    /// A rise of tier or of `credits_per_month` grants the difference within the month; a change of share retags what waits.
    ChangeAccount(AccountId, AccountChange),
    CreateKey(NewKey),
    /// A new key beside `old` of the same account, which goes on for `overlap`, and no longer than it would have anyway. An old key that
    /// has ended is none.
    RotateKey {
        old: KeyId,
        overlap: Duration,
        new: NewKey,
    },
    /// Ends a key now. One that was revoked before stays as it is.
    RevokeKey(AccountId, KeyId),
    TopUp(TopUp),
    /// By the operator.
    Cancel(GenerationId),
    /// Paused: nothing is claimed; what runs goes on.
    Pause(bool),
    Drain(WorkerId),
    /// It was changed elsewhere: only its audit entry and its answer are written.
    Told,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Account(Account),
    Key(KeyRecord),
    Rotated { new: KeyRecord, old: KeyRecord },
    Entry(CreditEntry),
    Canceled { generation: Box<Generation>, tell_workers: bool },
    Done,
}

/// An operator's key for one change: a hash of it and of the call, and a hash of what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeKey {
    pub hash: [u8; 32],
    pub fingerprint: [u8; 32],
}

/// An order's place in the audit trail, and what is kept of it for whoever asks again.
pub struct Deed<'a> {
    pub entry: AuditEntry,
    pub key: Option<ChangeKey>,
    /// Makes the answer that is kept under the key. Called within the transaction: it computes and nothing else.
    pub answer: &'a (dyn Fn(&Outcome) -> Vec<u8> + Send + Sync),
}

/// What a key stands for already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    pub fingerprint: [u8; 32],
    pub entry: AuditId,
    pub answer: Vec<u8>,
}

/// How an order ended. But for the first, nothing was changed and nothing was told.
#[derive(Debug, Clone, PartialEq)]
pub enum Acted {
    Done(Outcome),
    /// The key was used within the last 24 hours.
    Earlier(Earlier),
    /// What it is about is not there.
    NotFound,
    /// The generation had ended.
    AlreadyFinal(Box<Generation>),
}

#[async_trait]
pub trait Operators: Send + Sync {
    /// Of several with one key at once, the first is carried out and the others find it.
    async fn act(&self, order: &Order, deed: &Deed<'_>) -> Result<Acted, StoreError>;
    /// What a key stands for; `None` where it is new, or older than 24 hours.
    async fn earlier(&self, key: &ChangeKey) -> Result<Option<Earlier>, StoreError>;
}
