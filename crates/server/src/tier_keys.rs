//! A customer for each tier, so that a first try needs no operator: made once, kept in the data folder, the same at every start.
//!
//! What is kept comes first, what the ledger knows follows: a process that dies in between goes on with the same ids and keys.

use anyhow::{Context, bail};
use bootstrap::{Settings, settings};
use domain::account::Overrides;
use domain::api_key::{ApiKey, KeyLabel};
use domain::ids::{AccountId, KeyId};
use domain::ports::Backends;
use domain::ports::accounts::{NewAccount, NewKey};
use domain::tier::Tier;

/// Tiers that a customer can have, smallest first.
pub const TIERS: [Tier; 4] = [Tier::Free, Tier::Pro, Tier::Premium, Tier::Enterprise];

/// One customer's key.
#[derive(Debug, Clone)]
pub struct TierKey {
    pub tier: Tier,
    pub key: ApiKey,
}

/// The keys of all tiers, made where they are missing.
///
/// # Errors
/// A folder or a ledger that cannot be used, or a kept file that was edited.
pub async fn tier_keys(settings: &Settings, backends: &Backends) -> anyhow::Result<Vec<TierKey>> {
    let mut keys = Vec::new();
    for tier in TIERS {
        keys.push(tier_key(settings, backends, tier).await.with_context(|| format!("the {} key", tier.name()))?);
    }
    Ok(keys)
}

async fn tier_key(settings: &Settings, backends: &Backends, tier: Tier) -> anyhow::Result<TierKey> {
    let name = format!("customer_{}", tier.name());
    let kept = match settings::kept_secret(&settings.data_dir, &name)? {
        Some(kept) => kept,
        None => settings::keep_secret(&settings.data_dir, &name, &fresh(backends)?)?,
    };
    let mut parts = kept.split_whitespace();
    let (Some(account), Some(id), Some(key), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        bail!("secrets/{name} was edited: delete it for a new one");
    };
    let (account, id): (AccountId, KeyId) = (account.parse()?, id.parse()?);
    let key = ApiKey::parse(key).context("its check characters do not fit")?;
    let pepper = settings.secrets.pepper.as_ref().context("API_KEY_PEPPER is missing")?;
    let hash = key.hash(pepper);
    let accounts = &backends.accounts;
    if accounts.authenticate(&hash).await?.is_none() {
        if let Some(known) = accounts.keys(account).await?.into_iter().find(|known| known.id == id) {
            let why = match known.revoked_at {
                Some(_) => "was revoked",
                None => "is on record under another API_KEY_PEPPER: set that one again",
            };
            bail!("{why}; for a new key, delete secrets/{name}");
        }
        if accounts.show(account).await?.is_none() {
            let name = format!("{} (local)", tier.name());
            let new = NewAccount { id: account, name, email: None, tier, overrides: Overrides::default() };
            accounts.create(new).await?;
        }
        let prefix = key.prefix().to_owned();
        let new = NewKey { id, account_id: account, name: "local".to_owned(), prefix, hash, expires_at: None };
        accounts.create_key(new).await?;
    }
    Ok(TierKey { tier, key })
}

/// Ids and a key, as they are kept: account, key id, key.
fn fresh(backends: &Backends) -> anyhow::Result<String> {
    let now = backends.clock.now();
    let (account, id) = (AccountId::new(now, rand::random()), KeyId::new(now, rand::random()));
    let random: [u8; 64] = rand::random();
    let key = ApiKey::generate(KeyLabel::Test, &random).context("no key could be made of 64 random bytes")?;
    Ok(format!("{account} {id} {}", key.reveal()))
}
