//! The workers that are alive, the audit trail, and the proof that the books add up.

use super::Admin;
use crate::error::ClientError;
use crate::page::{Page, PageQuery};
use domain::Timestamp;
use domain::ids::{AccountId, AuditId, WorkerId};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub struct WorkerView {
    pub id: WorkerId,
    /// Its host's and process's.
    pub name: String,
    pub version: String,
    pub slots: u32,
    /// Slots in use.
    pub active: u32,
    pub rendering: u32,
    pub draining: bool,
    /// Its share of the CPU that it may use; `None`: not known yet.
    #[serde(default)]
    pub cpu: Option<f64>,
    pub started_at: Timestamp,
    pub last_heartbeat_at: Timestamp,
}

#[derive(Debug, Clone, Deserialize)]
pub struct AuditView {
    pub id: AuditId,
    /// The key that acted, by its display prefix.
    pub actor: String,
    pub action: String,
    pub subject: Option<String>,
    pub address: Option<String>,
    pub request_id: String,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Verification {
    pub ok: bool,
    pub accounts: u64,
    pub discrepancies: Vec<DiscrepancyView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DiscrepancyView {
    pub account_id: AccountId,
    pub detail: String,
}

#[derive(Deserialize)]
struct Workers {
    data: Vec<WorkerView>,
}

impl Admin<'_> {
    pub async fn workers(&self) -> Result<Vec<WorkerView>, ClientError> {
        self.transport.json::<Workers>(self.transport.get("admin/v1/workers")).await.map(|workers| workers.data)
    }

    /// It claims no more, hands back what it has not submitted, and leaves what renders to be adopted.
    pub async fn drain_worker(&self, id: WorkerId) -> Result<(), ClientError> {
        let call = self.transport.post(&format!("admin/v1/workers/{id}/drain")).once();
        self.transport.send(call).await.map(|_| ())
    }

    pub async fn audit(&self, page: &PageQuery) -> Result<Page<AuditView>, ClientError> {
        self.transport.json(self.transport.get("admin/v1/audit").page(page)).await
    }

    /// Recomputes every balance on the live system.
    pub async fn verify(&self) -> Result<Verification, ClientError> {
        let call = self.transport.get("admin/v1/ledger/verify").longest(std::time::Duration::from_secs(300));
        self.transport.json(call).await
    }
}
