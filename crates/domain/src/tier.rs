//! Tiers: what an account may ask for, how often, and its share of a full system.
//!
//! The numbers are settings ([`Tiers`]); an account may override its own ([`crate::account::Overrides`]).

use crate::request::GenerationRequest;
use serde::{Deserialize, Serialize};

/// What the system account is granted a month, and is never debited.
pub const UNMETERED: i64 = 999_999_999;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Free,
    Pro,
    Premium,
    Enterprise,
    /// The operator's own account: unlimited, unmetered, not assignable over the API.
    System,
}

impl Tier {
    pub const ALL: [Self; 5] = [Self::Free, Self::Pro, Self::Premium, Self::Enterprise, Self::System];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Premium => "premium",
            Self::Enterprise => "enterprise",
            Self::System => "system",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name().eq_ignore_ascii_case(name))
    }
}

/// How much care the upstream is asked to take; ordered, a tier allows up to one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    Standard,
    High,
    Premium,
    Enterprise,
}

impl Quality {
    pub const ALL: [Self; 4] = [Self::Standard, Self::High, Self::Premium, Self::Enterprise];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::High => "high",
            Self::Premium => "premium",
            Self::Enterprise => "enterprise",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|quality| quality.name() == name)
    }
}

/// One tier's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierLimits {
    /// Requests in any 60 seconds; `None` is without a limit.
    pub requests_per_minute: Option<u32>,
    pub generations_per_month: i64,
    pub credits_per_month: i64,
    pub longest_seconds: u32,
    pub best_quality: Quality,
    /// Weight in a full system, at least 1.
    pub share: u32,
}

/// The numbers of all tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiers {
    pub free: TierLimits,
    pub pro: TierLimits,
    pub premium: TierLimits,
    pub enterprise: TierLimits,
    pub system: TierLimits,
}

impl Tiers {
    pub const fn of(&self, tier: Tier) -> &TierLimits {
        match tier {
            Tier::Free => &self.free,
            Tier::Pro => &self.pro,
            Tier::Premium => &self.premium,
            Tier::Enterprise => &self.enterprise,
            Tier::System => &self.system,
        }
    }
}

impl Default for Tiers {
    fn default() -> Self {
        const fn limits(rpm: u32, monthly: i64, longest: u32, best: Quality, share: u32) -> TierLimits {
            TierLimits {
                requests_per_minute: Some(rpm),
                generations_per_month: monthly,
                credits_per_month: monthly,
                longest_seconds: longest,
                best_quality: best,
                share,
            }
        }
        Self {
            free: limits(10, 5, 60, Quality::Standard, 1),
            pro: limits(50, 50, 120, Quality::High, 2),
            premium: limits(200, 200, 300, Quality::Premium, 4),
            enterprise: limits(1000, 1000, 600, Quality::Enterprise, 8),
            system: TierLimits { requests_per_minute: None, ..limits(0, UNMETERED, 600, Quality::Enterprise, 8) },
        }
    }
}

/// What a request asks beyond its tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeyondTier {
    /// JSON Pointer of the field.
    pub pointer: &'static str,
    pub detail: String,
}

impl TierLimits {
    /// Refuses what is longer or better than the tier allows, naming every such field.
    pub fn check(&self, request: &GenerationRequest) -> Result<(), Vec<BeyondTier>> {
        let mut beyond = Vec::new();
        if request.duration_seconds > self.longest_seconds {
            beyond.push(BeyondTier {
                pointer: "/duration_seconds",
                detail: format!("at most {} in this tier", self.longest_seconds),
            });
        }
        if request.quality > self.best_quality {
            beyond.push(BeyondTier {
                pointer: "/quality",
                detail: format!("at best {} in this tier", self.best_quality.name()),
            });
        }
        if beyond.is_empty() { Ok(()) } else { Err(beyond) }
    }
}
