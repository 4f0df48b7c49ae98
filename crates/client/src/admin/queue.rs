//! The queue in numbers, and its brake.

use super::Admin;
use crate::error::ClientError;
use crate::page::{Page, PageQuery};
use domain::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct QueueView {
    /// Queued, backoff included.
    pub waiting: u64,
    /// Holding a worker's slot.
    pub active: u64,
    pub rendering: u64,
    #[serde(default)]
    pub by_tier: BTreeMap<String, u64>,
    #[serde(default)]
    pub oldest_waiting_seconds: f64,
    #[serde(default)]
    pub dead: u64,
    #[serde(default)]
    pub paused: bool,
    /// Over the last five minutes.
    #[serde(flatten)]
    pub lately: LastMinutes,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LastMinutes {
    pub throughput_per_minute: f64,
    pub wait_seconds: WaitSeconds,
    pub error_rate: f64,
}

/// From acceptance to the first claim.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct WaitSeconds {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

/// Rings that made no sense to whoever heard them; equal ones are one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeadLetterView {
    pub id: Uuid,
    pub reason: String,
    pub count: u32,
    pub died_at: Option<Timestamp>,
    /// How long it is.
    pub bytes: u64,
    /// Its beginning, as text.
    pub preview: String,
}

impl Admin<'_> {
    pub async fn queue(&self) -> Result<QueueView, ClientError> {
        self.transport.json(self.transport.get("admin/v1/queue")).await
    }

    /// Nothing more is claimed; what runs goes on.
    pub async fn pause(&self) -> Result<(), ClientError> {
        self.transport.send(self.transport.post("admin/v1/queue/pause").once()).await.map(|_| ())
    }

    /// A page, by their ids.
    pub async fn dead_letters(&self, page: &PageQuery) -> Result<Page<DeadLetterView>, ClientError> {
        self.transport.json(self.transport.get("admin/v1/queue/dead").page(page)).await
    }

    /// Rings them again.
    pub async fn requeue_dead_letter(&self, id: Uuid) -> Result<(), ClientError> {
        let call = self.transport.post(&format!("admin/v1/queue/dead/{id}/requeue")).once();
        self.transport.send(call).await.map(|_| ())
    }

    pub async fn discard_dead_letter(&self, id: Uuid) -> Result<(), ClientError> {
        let call = self.transport.call(Method::DELETE, &format!("admin/v1/queue/dead/{id}")).once();
        self.transport.send(call).await.map(|_| ())
    }

    pub async fn resume(&self) -> Result<(), ClientError> {
        self.transport.send(self.transport.post("admin/v1/queue/resume").once()).await.map(|_| ())
    }
}
