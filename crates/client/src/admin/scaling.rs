//! How many workers there should be.

use super::Admin;
use crate::error::ClientError;
use domain::Timestamp;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ScalingView {
    /// `railway`, `docker`, `advise`, or `none` while no autoscaler runs.
    pub controller: String,
    /// Replicas that there are.
    pub current: u32,
    pub desired: u32,
    pub min: u32,
    pub max: u32,
    pub rule: String,
    /// For people.
    pub reason: String,
    pub inputs: ScalingInputs,
    pub since: Timestamp,
    pub decided_at: Timestamp,
    /// Why the controller could not be asked or could not apply it.
    pub failure: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ScalingInputs {
    /// Those that live and do not drain.
    pub workers: u32,
    /// Their mean, each as a share of what it may use. `None`: not known.
    pub cpu: Option<f64>,
    /// Queued, backoff included.
    pub waiting: u64,
    /// Of those, what a worker could take now.
    pub due: u64,
    pub oldest_waiting_seconds: f64,
    pub paused: bool,
    /// Leases that all usable tokens allow at once, and how many of them are free.
    pub token_capacity: u64,
    pub token_free: u64,
}

impl Admin<'_> {
    pub async fn scaling(&self) -> Result<ScalingView, ClientError> {
        self.transport.json(self.transport.get("admin/v1/scaling")).await
    }
}
