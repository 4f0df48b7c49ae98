//! Anybody's generations. What the API does not do in bulk is not done here either.

use super::Admin;
use crate::error::ClientError;
use crate::page::{Page, PageQuery};
use crate::types::Generation;
use domain::Timestamp;
use domain::ids::{AccountId, GenerationId};
use domain::state::{Stage, Status};
use domain::tier::Tier;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Clone, Default)]
pub struct AdminGenerationQuery {
    pub account: Option<AccountId>,
    pub status: Option<Status>,
    pub stage: Option<Stage>,
    pub tier: Option<Tier>,
    pub error_code: Option<String>,
    pub created_after: Option<Timestamp>,
    pub page: PageQuery,
}

/// The customer's form, and what is behind it.
#[derive(Debug, Clone, Deserialize)]
pub struct AdminGeneration {
    #[serde(flatten)]
    pub generation: Generation,
    pub account_id: AccountId,
    pub tier: Tier,
    pub version: u32,
    /// The W3C trace of its submission.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// Its attempts, where one generation alone was asked for.
    #[serde(default)]
    pub history: Vec<Map<String, Value>>,
}

impl Admin<'_> {
    pub async fn generations(&self, query: &AdminGenerationQuery) -> Result<Page<AdminGeneration>, ClientError> {
        let call = self
            .transport
            .get("admin/v1/generations")
            .maybe("account", query.account)
            .maybe("status", query.status.map(Status::name))
            .maybe("stage", query.stage.map(Stage::name))
            .maybe("tier", query.tier.map(Tier::name))
            .maybe("error_code", query.error_code.as_deref())
            .maybe("created_after", query.created_after.map(|at| at.to_rfc3339()))
            .page(&query.page);
        self.transport.json(call).await
    }

    pub async fn generation(&self, id: GenerationId) -> Result<AdminGeneration, ClientError> {
        self.transport.json(self.transport.get(&format!("admin/v1/generations/{id}"))).await
    }

    pub async fn cancel(&self, id: GenerationId) -> Result<Generation, ClientError> {
        self.transport.json(self.transport.post(&format!("admin/v1/generations/{id}/cancel")).once()).await
    }

    /// A new generation with the same request, charged as one.
    pub async fn retry(&self, id: GenerationId) -> Result<Generation, ClientError> {
        self.transport.json(self.transport.post(&format!("admin/v1/generations/{id}/retry")).once()).await
    }
}
