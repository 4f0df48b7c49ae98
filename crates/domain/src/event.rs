//! What readers are told: a generation's milestones, and the rings that say which generation changed.
//!
//! There is no table of events. An event is a new version of the row; milestones are its timestamps, so a reader that was away gets
//! each one it missed from the row alone. Progress rides in rings and is never stored.

use crate::Timestamp;
use crate::generation::Generation;
use crate::ids::{AccountId, GenerationId};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MilestoneKind {
    Accepted,
    Started,
    Rendering,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Milestone {
    pub kind: MilestoneKind,
    pub version: u32,
    pub at: Timestamp,
}

/// A ring for gateways: this generation has a newer version, or got on. Ids alone: the ledger has the rest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub id: GenerationId,
    pub account_id: AccountId,
    pub version: u32,
    /// 0 to 1, while rendering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f32>,
}

/// A ring for workers, heard by each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Notice {
    /// Canceled or past its deadline: whoever holds it tells the upstream.
    Closing(GenerationId),
    /// The upstream called back: whoever holds it polls now.
    CalledBack(GenerationId),
}

impl Generation {
    /// The milestones with a version above `seen`, in order.
    pub fn milestones_after(&self, seen: u32) -> Vec<Milestone> {
        use MilestoneKind as K;
        let ended = self.finished_at.filter(|_| self.status.is_final()).map(|at| (K::Ended, self.version, at));
        [
            Some((K::Accepted, 1, self.created_at)),
            self.started_version.zip(self.started_at).map(|(version, at)| (K::Started, version, at)),
            self.rendering_version.zip(self.rendering_at).map(|(version, at)| (K::Rendering, version, at)),
            ended,
        ]
        .into_iter()
        .flatten()
        .filter(|(_, version, _)| *version > seen)
        .map(|(kind, version, at)| Milestone { kind, version, at })
        .collect()
    }
}
