//! The queue in numbers, and its brake.

use super::Admin;
use crate::error::ClientError;
use serde::Deserialize;
use std::collections::BTreeMap;

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

impl Admin<'_> {
    pub async fn queue(&self) -> Result<QueueView, ClientError> {
        self.transport.json(self.transport.get("admin/v1/queue")).await
    }

    /// Nothing more is claimed; what runs goes on.
    pub async fn pause(&self) -> Result<(), ClientError> {
        self.transport.send(self.transport.post("admin/v1/queue/pause").once()).await.map(|_| ())
    }

    pub async fn resume(&self) -> Result<(), ClientError> {
        self.transport.send(self.transport.post("admin/v1/queue/resume").once()).await.map(|_| ())
    }
}
