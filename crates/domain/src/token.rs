//! Upstream tokens: the operator's own credentials, as the pool keeps them. Secrets are sealed everywhere but in a lease.

use crate::Timestamp;
use crate::ids::{LeaseId, TokenId, WorkerId};
use secrecy::SecretString;
use std::time::Duration;

/// Where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenState {
    Usable,
    /// Refused for rate: rests until a moment.
    Cooling,
    /// The upstream refused it (401, 403).
    Quarantined,
    /// Out of credit (402).
    Exhausted,
    /// By an operator.
    Disabled,
}

impl TokenState {
    pub const ALL: [Self; 5] = [Self::Usable, Self::Cooling, Self::Quarantined, Self::Exhausted, Self::Disabled];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Cooling => "cooling",
            Self::Quarantined => "quarantined",
            Self::Exhausted => "exhausted",
            Self::Disabled => "disabled",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A secret as stored: sealed under a data key of its own, which is wrapped by the named encryption key and bound to its row.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    pub key_id: String,
    pub wrapped_key: Vec<u8>,
    pub ciphertext: Vec<u8>,
}

impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedSecret(key {})", self.key_id)
    }
}

/// A token's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    pub id: TokenId,
    pub label: Option<String>,
    pub sealed: SealedSecret,
    /// Keyed hash of the secret: finds duplicates without opening anything.
    pub fingerprint: [u8; 32],
    /// Leases at once, at least 1.
    pub max_concurrency: u32,
    pub requests_per_minute: Option<u32>,
    pub expires_at: Option<Timestamp>,
    pub state: TokenState,
    /// Until when it cools; `None` in other states.
    pub until: Option<Timestamp>,
    /// Why it is in this state, for operators.
    pub reason: Option<String>,
    pub created_at: Timestamp,
}

/// A token as listings show it: never the secret, sealed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenView {
    pub id: TokenId,
    pub label: Option<String>,
    pub state: TokenState,
    pub until: Option<Timestamp>,
    pub reason: Option<String>,
    pub max_concurrency: u32,
    pub requests_per_minute: Option<u32>,
    pub leased: u32,
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// What an operator imports.
#[derive(Debug, Clone)]
pub struct TokenImport {
    pub secret: SecretString,
    pub label: Option<String>,
    pub max_concurrency: Option<u32>,
    pub requests_per_minute: Option<u32>,
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportOutcome {
    Imported(TokenId),
    Duplicate(TokenId),
    /// Past `MAX_TOKENS`.
    PoolFull,
}

/// A lease as a worker holds it.
#[derive(Debug, Clone)]
pub struct TokenLease {
    pub lease_id: LeaseId,
    pub token_id: TokenId,
    pub secret: SecretString,
    /// Grows with every lease of the token, over failovers too.
    pub fencing_token: u64,
    /// How long the grant stands before the ledger must name it, or it is renewed.
    pub expires_in: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Any tokens, at most this many.
    Count(u32),
    /// This one, for work that already counts against it (adoption, the repeat of a submission in doubt).
    Token(TokenId),
}

#[derive(Debug, Clone)]
pub struct AcquireRequest {
    pub owner: WorkerId,
    pub wanted: Wanted,
    pub wait_up_to: Duration,
}

#[derive(Debug, Clone)]
pub enum Acquired {
    /// At least one, at most as many as were asked for.
    Leases(Vec<TokenLease>),
    /// None is free. When one will be, where that is known.
    Dry { earliest: Option<Duration> },
}

/// What the upstream made of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseOutcome {
    Ok,
    RateLimited {
        retry_after: Option<Duration>,
    },
    Unauthorized,
    OutOfCredit,
    UpstreamError,
    /// Never used, or its use is over without news of the token.
    Abandoned,
}

/// A lease as the ledger's work rows name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedLease {
    pub lease_id: LeaseId,
    pub token_id: TokenId,
    /// Nobody's while a dead worker's render waits for adoption.
    pub owner: Option<WorkerId>,
}

/// The pool in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStats {
    pub min: u32,
    pub max: u32,
    pub usable: u32,
    /// Leases, not tokens.
    pub leased: u32,
    pub cooling: u32,
    pub quarantined: u32,
    pub exhausted: u32,
    pub disabled: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolStatus {
    Ok,
    /// Under the minimum.
    Low,
    Empty,
}

impl PoolStats {
    pub const fn status(&self) -> PoolStatus {
        if self.usable == 0 {
            PoolStatus::Empty
        } else if self.usable < self.min {
            PoolStatus::Low
        } else {
            PoolStatus::Ok
        }
    }
}

impl PoolStatus {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Low => "low",
            Self::Empty => "empty",
        }
    }
}
