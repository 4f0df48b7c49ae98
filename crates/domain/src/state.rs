//! The life of a generation, as one transition function. Drawn in `docs/states.md`; kept by check constraints and fenced writes.
//!
//! ```text
//! ready ⇄ backoff           waiting: no worker owns it
//!   │ claim
//! submitting ──▶ rendering  owned, under a fence
//!   │               │
//!   ▼               ▼
//! succeeded, failed, canceled: the customer's record is final
//! ```
//!
//! A generation that was canceled while a worker owned it leaves `closing` work behind until the upstream has been told; that is no
//! state of the customer's record.

use serde::{Deserialize, Serialize};

/// Where live work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkState {
    /// Due, waiting for a claim.
    Ready,
    /// Waiting for its `run_after`.
    Backoff,
    /// A worker owns it and is calling, or about to call, the upstream.
    Submitting,
    /// The upstream renders; it holds no worker slot.
    Rendering,
    /// Final for the customer; its worker or an adopter still has to tell the upstream.
    Closing,
}

impl WorkState {
    pub const ALL: [Self; 5] = [Self::Ready, Self::Backoff, Self::Submitting, Self::Rendering, Self::Closing];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Backoff => "backoff",
            Self::Submitting => "submitting",
            Self::Rendering => "rendering",
            Self::Closing => "closing",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// What can happen to live work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    Claimed,
    UpstreamAccepted,
    /// Put back, due at once or later.
    PutBack {
        due: bool,
    },
    Due,
    Finished,
    Canceled,
}

/// What live work turns into: another state, or nothing (its row is gone and the record final).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    State(WorkState),
    Gone,
}

/// The only transitions there are. `None`: this cannot happen in that state, and whoever asks is late.
pub const fn transition(state: WorkState, happening: Happening) -> Option<Next> {
    use Happening as H;
    use WorkState as W;
    match (state, happening) {
        (W::Ready, H::Claimed) => Some(Next::State(W::Submitting)),
        (W::Backoff, H::Due) => Some(Next::State(W::Ready)),
        (W::Submitting, H::UpstreamAccepted) => Some(Next::State(W::Rendering)),
        (W::Submitting | W::Rendering, H::PutBack { due }) => {
            Some(Next::State(if due { W::Ready } else { W::Backoff }))
        }
        // Closing work ends when the upstream has been told.
        (W::Submitting | W::Rendering | W::Closing, H::Finished) | (W::Ready | W::Backoff, H::Canceled) => {
            Some(Next::Gone)
        }
        (W::Submitting | W::Rendering, H::Canceled) => Some(Next::State(W::Closing)),
        _ => None,
    }
}

/// What a customer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Queued,
    Processing,
    Succeeded,
    Failed,
    Canceled,
}

impl Status {
    pub const ALL: [Self; 5] = [Self::Queued, Self::Processing, Self::Succeeded, Self::Failed, Self::Canceled];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

/// The finer step within `queued` and `processing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Backlog,
    Backoff,
    Submitting,
    Rendering,
    Finalizing,
}

impl Stage {
    pub const ALL: [Self; 5] = [Self::Backlog, Self::Backoff, Self::Submitting, Self::Rendering, Self::Finalizing];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::Backoff => "backoff",
            Self::Submitting => "submitting",
            Self::Rendering => "rendering",
            Self::Finalizing => "finalizing",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

/// The customer's words for live work. `None` for closing work, whose record is already final.
pub const fn seen_as(state: WorkState) -> Option<(Status, Stage)> {
    match state {
        WorkState::Ready => Some((Status::Queued, Stage::Backlog)),
        WorkState::Backoff => Some((Status::Queued, Stage::Backoff)),
        WorkState::Submitting => Some((Status::Processing, Stage::Submitting)),
        WorkState::Rendering => Some((Status::Processing, Stage::Rendering)),
        WorkState::Closing => None,
    }
}

/// Why a queued generation waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingOn {
    /// Every worker slot is taken, or its turn comes with the next claim.
    Capacity,
    /// Others of the same account, or accounts with a better claim, go first.
    Fairness,
    /// No upstream token is free.
    UpstreamTokens,
    RetryBackoff,
    Paused,
}

impl WaitingOn {
    pub const ALL: [Self; 5] = [Self::Capacity, Self::Fairness, Self::UpstreamTokens, Self::RetryBackoff, Self::Paused];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Fairness => "fairness",
            Self::UpstreamTokens => "upstream_tokens",
            Self::RetryBackoff => "retry_backoff",
            Self::Paused => "paused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_closing_but_its_end_and_nothing_waiting_can_finish() {
        for happening in [
            Happening::Claimed,
            Happening::UpstreamAccepted,
            Happening::PutBack { due: true },
            Happening::Due,
            Happening::Canceled,
        ] {
            assert_eq!(transition(WorkState::Closing, happening), None);
        }
        assert_eq!(transition(WorkState::Closing, Happening::Finished), Some(Next::Gone));
        assert_eq!(transition(WorkState::Ready, Happening::Finished), None);
        assert_eq!(transition(WorkState::Rendering, Happening::Claimed), None);
    }
}
