//! The pool of upstream tokens. Secrets go in and never come out.

use super::Admin;
use crate::error::ClientError;
use crate::page::{Page, PageQuery};
use domain::Timestamp;
use domain::ids::TokenId;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One token to import.
#[derive(Debug, Clone)]
pub struct TokenImport {
    pub secret: SecretString,
    pub label: Option<String>,
    /// Leases at once; the pool's default when left out.
    pub max_concurrency: Option<u32>,
    pub requests_per_minute: Option<u32>,
    pub expires_at: Option<Timestamp>,
}

impl TokenImport {
    pub fn of(secret: impl Into<SecretString>) -> Self {
        Self { secret: secret.into(), label: None, max_concurrency: None, requests_per_minute: None, expires_at: None }
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("secret".into(), self.secret.expose_secret().into());
        let label = self.label.clone().map(Value::from);
        let numbers = [("max_concurrency", self.max_concurrency), ("requests_per_minute", self.requests_per_minute)];
        let expires_at = self.expires_at.map(|at| Value::from(at.to_rfc3339()));
        let optional = [("label", label), ("expires_at", expires_at)];
        let numbers = numbers.map(|(name, value)| (name, value.map(Value::from)));
        for (name, value) in optional.into_iter().chain(numbers) {
            if let Some(value) = value {
                body.insert(name.into(), value);
            }
        }
        body.into()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportResult {
    Imported,
    Duplicate,
    Refused,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportedToken {
    pub id: Option<TokenId>,
    pub result: ImportResult,
    /// `pool_full`, say.
    #[serde(default)]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TokenView {
    pub id: TokenId,
    pub label: Option<String>,
    pub state: String,
    #[serde(default)]
    pub until: Option<Timestamp>,
    #[serde(default)]
    pub reason: Option<String>,
    pub max_concurrency: u32,
    #[serde(default)]
    pub leased: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PoolView {
    pub min: u32,
    pub max: u32,
    pub usable: u32,
    /// Leases, not tokens.
    pub leased: u32,
    pub cooling: u32,
    pub quarantined: u32,
    pub exhausted: u32,
    pub disabled: u32,
    /// `ok`, `low` or `empty`.
    pub status: String,
}

impl Admin<'_> {
    /// At most 1,000; the outcomes come in the same order.
    pub async fn import_tokens(&self, tokens: &[TokenImport]) -> Result<Vec<ImportedToken>, ClientError> {
        let tokens: Vec<Value> = tokens.iter().map(TokenImport::body).collect();
        let call = self.transport.post("admin/v1/tokens").json(&json!({ "tokens": tokens }))?.once();
        #[derive(Deserialize)]
        struct Outcomes {
            data: Vec<ImportedToken>,
        }
        self.transport.json::<Outcomes>(call).await.map(|outcomes| outcomes.data)
    }

    pub async fn tokens(&self, page: &PageQuery) -> Result<Page<TokenView>, ClientError> {
        self.transport.json(self.transport.get("admin/v1/tokens").page(page)).await
    }

    pub async fn pool(&self) -> Result<PoolView, ClientError> {
        self.transport.json(self.transport.get("admin/v1/tokens/pool")).await
    }

    pub async fn disable_token(&self, id: TokenId) -> Result<(), ClientError> {
        let call = self.transport.post(&format!("admin/v1/tokens/{id}/disable")).once();
        self.transport.send(call).await.map(|_| ())
    }

    pub async fn reinstate_token(&self, id: TokenId) -> Result<(), ClientError> {
        let call = self.transport.post(&format!("admin/v1/tokens/{id}/reinstate")).once();
        self.transport.send(call).await.map(|_| ())
    }

    pub async fn delete_token(&self, id: TokenId) -> Result<(), ClientError> {
        let call = self.transport.call(Method::DELETE, &format!("admin/v1/tokens/{id}")).once();
        self.transport.send(call).await.map(|_| ())
    }
}
