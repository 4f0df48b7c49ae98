//! Accounts, their credits and their keys.

use super::Admin;
use crate::error::ClientError;
use crate::page::{Page, PageQuery};
use crate::types::CreditEntry;
use domain::Timestamp;
use domain::account::{AccountStatus, Overrides};
use domain::ids::{AccountId, KeyId};
use domain::tier::Tier;
use reqwest::Method;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Clone, Serialize)]
pub struct NewAccount {
    pub name: String,
    pub tier: Tier,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Overrides>,
}

/// What changes; what is left out stays.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AccountChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AccountStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrides: Option<Overrides>,
}

#[derive(Debug, Clone, Default)]
pub struct AccountQuery {
    pub tier: Option<Tier>,
    /// Part of the name or the e-mail address.
    pub text: Option<String>,
    pub page: PageQuery,
}

#[derive(Debug, Clone, Deserialize)]
pub struct AccountView {
    pub id: AccountId,
    pub name: String,
    pub email: Option<String>,
    pub tier: Tier,
    pub status: AccountStatus,
    #[serde(default)]
    pub overrides: Overrides,
    pub created_at: Timestamp,
}

/// A key; `key` is there once, when it is made.
#[derive(Debug, Clone, Deserialize)]
pub struct KeyView {
    pub id: KeyId,
    pub name: String,
    pub prefix: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "secret")]
    pub key: Option<SecretString>,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.map(SecretString::from))
}

impl Admin<'_> {
    pub async fn create_account(&self, account: &NewAccount) -> Result<AccountView, ClientError> {
        self.transport.json(self.transport.post("admin/v1/accounts").json(account)?.once()).await
    }

    pub async fn accounts(&self, query: &AccountQuery) -> Result<Page<AccountView>, ClientError> {
        let call = self.transport.get("admin/v1/accounts");
        let call = call.maybe("tier", query.tier.map(Tier::name)).maybe("q", query.text.as_deref()).page(&query.page);
        self.transport.json(call).await
    }

    pub async fn account(&self, id: AccountId) -> Result<AccountView, ClientError> {
        self.transport.json(self.transport.get(&format!("admin/v1/accounts/{id}"))).await
    }

    pub async fn change_account(&self, id: AccountId, change: &AccountChange) -> Result<AccountView, ClientError> {
        let call = self.transport.call(Method::PATCH, &format!("admin/v1/accounts/{id}")).json(change)?.once();
        self.transport.json(call).await
    }

    /// Purchased credits: they never lapse.
    pub async fn top_up(&self, id: AccountId, amount: i64, reason: &str) -> Result<CreditEntry, ClientError> {
        let body = json!({ "amount": amount, "reason": reason });
        let call = self.transport.post(&format!("admin/v1/accounts/{id}/credits")).json(&body)?.once();
        self.transport.json(call).await
    }

    pub async fn create_key(
        &self,
        id: AccountId,
        name: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<KeyView, ClientError> {
        let body = match expires_at {
            Some(at) => json!({ "name": name, "expires_at": at.to_rfc3339() }),
            None => json!({ "name": name }),
        };
        let call = self.transport.post(&format!("admin/v1/accounts/{id}/keys")).json(&body)?.once();
        self.transport.json(call).await
    }

    pub async fn keys(&self, id: AccountId) -> Result<Vec<KeyView>, ClientError> {
        let call = self.transport.get(&format!("admin/v1/accounts/{id}/keys"));
        self.transport.json::<Page<KeyView>>(call).await.map(|page| page.data)
    }

    pub async fn revoke_key(&self, id: AccountId, key: KeyId) -> Result<(), ClientError> {
        let call = self.transport.call(Method::DELETE, &format!("admin/v1/accounts/{id}/keys/{key}")).once();
        self.transport.send(call).await.map(|_| ())
    }

    /// A new key; the old one stays good for the overlap.
    pub async fn rotate_key(&self, id: AccountId, key: KeyId) -> Result<KeyView, ClientError> {
        let call = self.transport.post(&format!("admin/v1/accounts/{id}/keys/{key}/rotate")).once();
        self.transport.json(call).await
    }
}
