//! Anybody's generations, one by one and in bulk.

use super::Admin;
use crate::error::ClientError;
use crate::page::{Page, PageQuery};
use crate::types::Generation;
use domain::Timestamp;
use domain::ids::{AccountId, GenerationId};
use domain::state::{Stage, Status};
use domain::tier::Tier;
use serde::{Deserialize, Serialize};
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
    /// Its attempts, where one generation alone was asked for.
    #[serde(default)]
    pub history: Vec<Map<String, Value>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    Cancel,
    Retry,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct BulkFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Bulk {
    pub action: BulkAction,
    pub filter: BulkFilter,
    /// Only count.
    pub dry_run: bool,
}

/// How many, in the API's own words.
#[derive(Debug, Clone, Deserialize)]
pub struct BulkOutcome {
    #[serde(flatten)]
    pub said: Map<String, Value>,
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

    pub async fn bulk(&self, bulk: &Bulk) -> Result<BulkOutcome, ClientError> {
        self.transport.json(self.transport.post("admin/v1/generations/bulk").json(bulk)?.once()).await
    }
}
