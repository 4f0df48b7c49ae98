//! Accounts of the load's own, with everything but their tier's share out of the way.

use super::bench::Bench;
use anyhow::Context;
use client::admin::NewAccount;
use domain::account::Overrides;
use domain::ids::AccountId;
use domain::tier::Tier;
use secrecy::SecretString;

/// As far out of the way as the API lets a limit be.
const PLENTY: u32 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Customer {
    pub(super) account: AccountId,
    pub(super) tier: Tier,
    pub(super) key: SecretString,
}

impl Customer {
    /// # Errors
    /// When the operators' API does not answer, or refuses the key.
    pub(super) async fn make(bench: &Bench, tier: Tier, name: &str) -> anyhow::Result<Self> {
        let overrides = Overrides {
            requests_per_minute: Some(PLENTY),
            generations_per_month: Some(PLENTY.into()),
            credits_per_month: Some(PLENTY.into()),
            backlog_max: Some(PLENTY),
            share: None,
        };
        let name = format!("load {name}");
        let account = NewAccount { name: name.clone(), tier, email: None, overrides: Some(overrides) };
        let made = bench.operator.admin().create_account(&account).await.context("an account for the load")?;
        bench.leaves(format!("account {} ({name})", made.id));
        let key = bench.operator.admin().create_key(made.id, "load", None).await.context("a key for the load")?;
        let key = key.key.context("the gateway did not show the key")?;
        Ok(Self { account: made.id, tier, key })
    }

    /// `count` of the largest tier.
    pub(super) async fn several(bench: &Bench, count: u16) -> anyhow::Result<Vec<Self>> {
        let mut customers = Vec::new();
        for number in 1..=count {
            customers.push(Self::make(bench, Tier::Enterprise, &format!("customer {number}")).await?);
        }
        Ok(customers)
    }
}
