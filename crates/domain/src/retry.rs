//! What follows a failed try: which failures cost an attempt, which only a wait, and how long each waits.

use crate::generation::{ErrorCode, GenerationError};
use std::time::Duration;

/// Upstream attempts of one generation before it fails for good.
pub const ATTEMPTS_MOST: u32 = 8;
/// Claims that ended with the worker's death before a generation counts as poison.
pub const CRASHES_MOST: u32 = 5;
/// From so many on it is suspected to be what kills them: a worker submits one such at a time, so that its neighbours' counts stay below.
pub const CRASHES_SUSPECT: u32 = 2;
/// So many attempts of a submission in doubt go to the token that it went out with. Then any will do: a token that never answers may not
/// sink a generation.
pub const SAME_TOKEN_MOST: u32 = ATTEMPTS_MOST / 2;
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_LONGEST: Duration = Duration::from_secs(120);
const ASKED_SHORTEST: Duration = Duration::from_secs(1);
const ASKED_LONGEST: Duration = Duration::from_secs(300);

/// How a try failed, by what it says about trying again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The request itself was refused: never retried.
    Rejected {
        message: String,
    },
    /// The upstream's moderation refused it: never retried.
    Moderated {
        message: String,
    },
    /// The render failed, a 5xx, a reset connection.
    Unavailable {
        message: String,
    },
    TimedOut {
        message: String,
    },
    /// The token, not the request: another one or a wait, no attempt used.
    Token {
        retry_after: Option<Duration>,
    },
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Fail(GenerationError),
    Retry { after: Duration, uses_attempt: bool },
}

/// `attempts`: tries so far, this one included. `random`: 0 to 1, the caller's.
pub fn decide(failure: &Failure, attempts: u32, random: f64) -> Verdict {
    let (message, code) = match failure {
        Failure::Rejected { message } => {
            return Verdict::Fail(GenerationError::new(ErrorCode::UpstreamRejected, message.clone()));
        }
        Failure::Moderated { message } => {
            return Verdict::Fail(GenerationError::new(ErrorCode::ModerationBlocked, message.clone()));
        }
        Failure::Token { retry_after } => return Verdict::Retry { after: clamp(*retry_after), uses_attempt: false },
        Failure::Unavailable { message } => (message, ErrorCode::UpstreamUnavailable),
        Failure::TimedOut { message } => (message, ErrorCode::UpstreamTimeout),
    };
    if attempts >= ATTEMPTS_MOST {
        return Verdict::Fail(GenerationError::new(code, format!("{message} ({attempts} attempts)")));
    }
    Verdict::Retry { after: full_jitter(attempts, random), uses_attempt: true }
}

/// `Retry-After` as the upstream sent it, held within 1 s to 5 min.
pub fn clamp(asked: Option<Duration>) -> Duration {
    asked.unwrap_or(ASKED_SHORTEST).clamp(ASKED_SHORTEST, ASKED_LONGEST)
}

/// Exponential backoff with full jitter (Amazon Builders' Library, "Timeouts, retries, and backoff with jitter").
pub fn full_jitter(attempts: u32, random: f64) -> Duration {
    let ceiling = BACKOFF_FIRST.saturating_mul(1 << attempts.min(16)).min(BACKOFF_LONGEST);
    ceiling.mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_token_costs_no_attempt_and_a_refused_request_is_never_tried_again() {
        let wait = |seconds| Verdict::Retry { after: Duration::from_secs(seconds), uses_attempt: false };
        assert_eq!(decide(&Failure::Token { retry_after: None }, 99, 0.5), wait(1));
        assert_eq!(decide(&Failure::Token { retry_after: Some(Duration::from_secs(1 << 40)) }, 1, 0.5), wait(300));
        let refused = decide(&Failure::Rejected { message: "no".into() }, 1, 0.5);
        assert!(matches!(refused, Verdict::Fail(e) if e.code == ErrorCode::UpstreamRejected));
    }

    #[test]
    fn attempts_end() {
        let down = Failure::Unavailable { message: "down".into() };
        assert!(matches!(decide(&down, 7, 1.0), Verdict::Retry { uses_attempt: true, .. }));
        assert!(matches!(decide(&down, 8, 1.0), Verdict::Fail(e) if e.code == ErrorCode::UpstreamUnavailable));
        assert_eq!(full_jitter(40, 1.0), BACKOFF_LONGEST);
    }
}
