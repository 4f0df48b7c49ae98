//! Accounts: who a customer is, and the limits that hold for it (its tier's, with its own overrides).

use crate::Timestamp;
use crate::ids::{AccountId, KeyId};
use crate::tier::{Tier, TierLimits, Tiers};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    Active,
    /// Its calls are refused; what it had accepted still ends.
    Suspended,
}

impl AccountStatus {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|status| status.name() == name)
    }
}

/// What an account has otherwise than its tier. Absent means the tier's number. Stored as JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generations_per_month: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits_per_month: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<u32>,
    /// Waiting generations before 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_max: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub email: Option<String>,
    pub tier: Tier,
    pub status: AccountStatus,
    pub overrides: Overrides,
    pub created_at: Timestamp,
}

impl Account {
    /// The numbers that hold for this account.
    pub fn limits(&self, tiers: &Tiers) -> TierLimits {
        effective_limits(self.tier, &self.overrides, tiers)
    }

    /// The operator's own account pays nothing.
    pub const fn is_metered(&self) -> bool {
        !matches!(self.tier, Tier::System)
    }
}

/// A tier's numbers with an account's overrides laid over them.
pub fn effective_limits(tier: Tier, overrides: &Overrides, tiers: &Tiers) -> TierLimits {
    let base = tiers.of(tier);
    TierLimits {
        requests_per_minute: overrides.requests_per_minute.or(base.requests_per_minute),
        generations_per_month: overrides.generations_per_month.unwrap_or(base.generations_per_month),
        credits_per_month: overrides.credits_per_month.unwrap_or(base.credits_per_month),
        share: overrides.share.unwrap_or(base.share).max(1),
        ..*base
    }
}

/// Who a request comes from, once its key is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub account: Account,
    pub key_id: KeyId,
}

/// A key as operators see it; the key itself is shown once and never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: KeyId,
    pub account_id: AccountId,
    pub name: String,
    /// The first characters, for display.
    pub prefix: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}
