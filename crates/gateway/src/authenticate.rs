//! Who asks. A key is known by its keyed hash alone; what the ledger said of it holds for three seconds.
//!
//! Missing, malformed, unknown, revoked and expired keys get one answer in comparable time. A key whose check characters are wrong
//! never reaches the store. Refusals are not remembered: made-up keys would fill any cache.

use crate::problem::ApiError;
use actix_web::http::header::{self, HeaderMap};
use domain::account::Principal;
use domain::api_key::{ApiKey, KeyHash};
use domain::ports::{Accounts, StoreError};
use moka::future::Cache;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::time::{Instant, sleep_until, timeout};

/// A revocation or a change of the account is in force after this, on every gateway.
const KNOWN_FOR: Duration = Duration::from_secs(3);
const KNOWN_MOST: u64 = 50_000;
/// Every refusal takes at least this long, so that its time does not tell its cause.
const REFUSED_AFTER: Duration = Duration::from_millis(10);
const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// What is hashed where no key was sent, for the time it takes.
const NO_KEY: &str = "son1k_live_00000000000000000000000000000000000000";

#[derive(Debug, Clone)]
pub(crate) enum Identity {
    Customer(Arc<Principal>),
    Operator,
}

#[derive(Debug)]
enum Miss {
    Unknown,
    Store(StoreError),
}

pub(crate) struct Authenticator {
    accounts: Arc<dyn Accounts>,
    pepper: SecretString,
    admin: KeyHash,
    system: KeyHash,
    known: Cache<KeyHash, Arc<Principal>>,
}

impl Authenticator {
    pub(crate) fn new(accounts: Arc<dyn Accounts>, pepper: SecretString, admin: &ApiKey, system: &ApiKey) -> Self {
        Self {
            admin: admin.hash(&pepper),
            system: system.hash(&pepper),
            known: Cache::builder().max_capacity(KNOWN_MOST).time_to_live(KNOWN_FOR).build(),
            accounts,
            pepper,
        }
    }

    /// 401 as [`ApiError::unauthenticated`], or 503 when the store does not answer.
    pub(crate) async fn identify(&self, headers: &HeaderMap) -> Result<Identity, ApiError> {
        let began = Instant::now();
        let presented = bearer(headers);
        let customers = presented.and_then(ApiKey::parse);
        let candidate = customers.clone().or_else(|| ApiKey::operators(presented.unwrap_or(NO_KEY)));
        let hash = candidate.or_else(|| ApiKey::operators(NO_KEY)).map(|key| key.hash(&self.pepper));
        let Some(hash) = hash else { return Err(ApiError::internal()) };
        let is_admin = bool::from(hash.0.ct_eq(&self.admin.0));
        let is_system = bool::from(hash.0.ct_eq(&self.system.0));
        if is_admin {
            return Ok(Identity::Operator);
        }
        if customers.is_some() || is_system {
            match self.known.try_get_with(hash, self.look_up(hash)).await {
                Ok(principal) => return Ok(Identity::Customer(principal)),
                Err(miss) => {
                    if let Miss::Store(error) = miss.as_ref() {
                        tracing::warn!(%error, "a key could not be looked up");
                        return Err(ApiError::unavailable("Keys cannot be checked for the moment."));
                    }
                }
            }
        }
        sleep_until(began + REFUSED_AFTER).await;
        Err(ApiError::unauthenticated())
    }

    async fn look_up(&self, hash: KeyHash) -> Result<Arc<Principal>, Miss> {
        let found = timeout(STORE_ANSWERS_WITHIN, self.accounts.authenticate(&hash))
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into())))
            .map_err(Miss::Store)?;
        found.map(Arc::new).ok_or(Miss::Unknown)
    }
}

/// The one bearer token of the request. Two `Authorization` headers are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim_matches(' '))
}
