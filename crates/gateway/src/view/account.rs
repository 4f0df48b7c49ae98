//! Accounts, their keys and their credits, as their customers and the operators read them.

use super::At;
use crate::limit::seconds;
use crate::openapi::schema;
use domain::account::{Account, AccountStatus, KeyRecord, Overrides};
use domain::credits::{CreditEntry, EntryKind};
use domain::ids::{AccountId, EntryId, GenerationId, KeyId};
use domain::ports::accounts::Usage;
use domain::rate::{RateDecision, WINDOW};
use domain::tier::{Quality, Tier, TierLimits, Tiers};
use serde::Serialize;
use utoipa::ToSchema;

/// What an account may do: its tier's numbers with its own overrides laid over them.
#[derive(Serialize, ToSchema)]
pub(crate) struct Limits {
    /// Requests in any 60 seconds; null: without a limit.
    requests_per_minute: Option<u32>,
    generations_per_month: i64,
    credits_per_month: i64,
    /// The longest `duration_seconds`.
    duration_seconds: u32,
    /// The best `quality`.
    #[schema(value_type = schema::Quality)]
    quality: Quality,
    /// The weight in a full system.
    share: u32,
    /// Generations that may wait at once.
    backlog_max: u32,
}

impl Limits {
    fn of(limits: &TierLimits, backlog_max: u32) -> Self {
        Self {
            requests_per_minute: limits.requests_per_minute,
            generations_per_month: limits.generations_per_month,
            credits_per_month: limits.credits_per_month,
            duration_seconds: limits.longest_seconds,
            quality: limits.best_quality,
            share: limits.share,
            backlog_max,
        }
    }
}

/// What an account has to spend.
#[derive(Serialize, ToSchema)]
pub(crate) struct Credits {
    balance: i64,
    /// Held by generations that have not ended; they return if those fail.
    reserved: i64,
}

/// The month's generations; refunded ones are not counted.
#[derive(Serialize, ToSchema)]
pub(crate) struct Month {
    used: i64,
    limit: i64,
    resets_at: At,
}

/// Where the account stands after this request.
#[derive(Serialize, ToSchema)]
pub(crate) struct RateLimit {
    limit: u32,
    remaining: u32,
    window_seconds: u64,
    /// Until one more passes than now.
    reset_seconds: u64,
}

/// An account as its customer sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountView<'a> {
    #[schema(value_type = schema::AccountId)]
    id: AccountId,
    /// `account`
    object: &'static str,
    name: &'a str,
    #[schema(value_type = schema::Tier)]
    tier: Tier,
    #[schema(value_type = schema::StatusOfAccount)]
    status: AccountStatus,
    limits: Limits,
    credits: Credits,
    generations: Month,
    /// Null: without a limit.
    rate_limit: Option<RateLimit>,
    created_at: At,
}

/// `backlog_max`: what holds where the account has none of its own.
pub(crate) fn customers<'a>(
    account: &'a Account,
    tiers: &Tiers,
    backlog_max: u32,
    usage: &Usage,
    rate: Option<RateDecision>,
) -> AccountView<'a> {
    let limits = account.limits(tiers);
    AccountView {
        id: account.id,
        object: "account",
        name: &account.name,
        tier: account.tier,
        status: account.status,
        credits: Credits { balance: usage.balance, reserved: usage.reserved },
        generations: Month { used: usage.used, limit: limits.generations_per_month, resets_at: At(usage.resets_at) },
        rate_limit: rate.map(|rate| RateLimit {
            limit: rate.limit,
            remaining: rate.remaining,
            window_seconds: WINDOW.as_secs(),
            reset_seconds: seconds(rate.reset_after),
        }),
        limits: Limits::of(&limits, account.overrides.backlog_max.unwrap_or(backlog_max)),
        created_at: At(account.created_at),
    }
}

/// An account as operators see it. What it has is there where one account alone is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct OperatorsAccount<'a> {
    #[schema(value_type = schema::AccountId)]
    id: AccountId,
    /// `account`
    object: &'static str,
    name: &'a str,
    email: Option<&'a str>,
    #[schema(value_type = schema::Tier)]
    tier: Tier,
    #[schema(value_type = schema::StatusOfAccount)]
    status: AccountStatus,
    #[schema(value_type = schema::Overrides)]
    overrides: Overrides,
    limits: Limits,
    created_at: At,
    #[serde(skip_serializing_if = "Option::is_none")]
    credits: Option<Credits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generations: Option<Month>,
}

pub(crate) fn operators<'a>(
    account: &'a Account,
    tiers: &Tiers,
    backlog_max: u32,
    usage: Option<&Usage>,
) -> OperatorsAccount<'a> {
    let limits = account.limits(tiers);
    OperatorsAccount {
        id: account.id,
        object: "account",
        name: &account.name,
        email: account.email.as_deref(),
        tier: account.tier,
        status: account.status,
        overrides: account.overrides,
        created_at: At(account.created_at),
        credits: usage.map(|usage| Credits { balance: usage.balance, reserved: usage.reserved }),
        generations: usage.map(|usage| Month {
            used: usage.used,
            limit: limits.generations_per_month,
            resets_at: At(usage.resets_at),
        }),
        limits: Limits::of(&limits, account.overrides.backlog_max.unwrap_or(backlog_max)),
    }
}

/// An API key, by its prefix.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct KeyView<'a> {
    #[schema(value_type = schema::KeyId)]
    id: KeyId,
    /// `api_key`
    object: &'static str,
    #[schema(value_type = schema::AccountId)]
    account_id: AccountId,
    name: &'a str,
    prefix: &'a str,
    created_at: At,
    expires_at: Option<At>,
    revoked_at: Option<At>,
    /// The key itself: shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

pub(crate) fn key<'a>(record: &'a KeyRecord, key: Option<&'a str>) -> KeyView<'a> {
    KeyView {
        id: record.id,
        object: "api_key",
        account_id: record.account_id,
        name: &record.name,
        prefix: &record.prefix,
        created_at: At(record.created_at),
        expires_at: record.expires_at.map(At),
        revoked_at: record.revoked_at.map(At),
        key,
    }
}

/// A line of an account's credit ledger. Debits and lapses are negative.
#[derive(Serialize, ToSchema)]
#[schema(as = CreditEntry)]
pub(crate) struct EntryView {
    #[schema(value_type = schema::EntryId)]
    id: EntryId,
    /// `credit_entry`
    object: &'static str,
    #[schema(value_type = schema::EntryKind)]
    kind: EntryKind,
    /// `granted` credits lapse with their month, `purchased` ones do not.
    bucket: &'static str,
    amount: i64,
    #[schema(value_type = Option<schema::GenerationId>)]
    generation_id: Option<GenerationId>,
    reason: Option<String>,
    created_at: At,
}

pub(crate) fn entry(entry: CreditEntry) -> EntryView {
    EntryView {
        id: entry.id,
        object: "credit_entry",
        kind: entry.kind,
        bucket: entry.bucket.name(),
        amount: entry.amount,
        generation_id: entry.generation_id,
        reason: entry.reason,
        created_at: At(entry.created_at),
    }
}
