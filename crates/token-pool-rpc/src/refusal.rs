//! What the pool says no with, as a gRPC status with standard details, and back. Everything else is a failure and stays a plain status.

use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "son1k.tokenpool";
const NOT_LEADER: &str = "NOT_LEADER";
const SECRET: &str = "SECRET_MISSING_OR_WRONG";
const LEADER: &str = "leader";

/// An answer that is a rule's, not a failure's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// `RESOURCE_EXHAUSTED`: no token is free. When one will be, where that is known.
    Dry { earliest: Option<Duration> },
    /// `FAILED_PRECONDITION`: ask the leader, at this address; empty while there is none.
    NotLeader { leader: String },
}

/// `INVALID_ARGUMENT`, with the field and what is wrong with it; never its value.
pub fn invalid(field: &str, why: &str) -> Status {
    Status::with_error_details(Code::InvalidArgument, why, ErrorDetails::with_bad_request_violation(field, why))
}

/// `UNAUTHENTICATED`: one answer, whatever was shown.
pub fn unauthenticated() -> Status {
    let details = ErrorDetails::with_error_info(SECRET, DOMAIN, HashMap::<String, String>::new());
    Status::with_error_details(Code::Unauthenticated, "the token pool's shared secret is missing or wrong", details)
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Dry { earliest } => {
                let details = match earliest {
                    Some(delay) => ErrorDetails::with_retry_info(Some(delay)),
                    None => ErrorDetails::new(),
                };
                Self::with_error_details(Code::ResourceExhausted, "no token is free", details)
            }
            Refusal::NotLeader { leader } => {
                let metadata = HashMap::from([(LEADER.to_owned(), leader)]);
                let details = ErrorDetails::with_error_info(NOT_LEADER, DOMAIN, metadata);
                Self::with_error_details(Code::FailedPrecondition, "another replica leads the token pool", details)
            }
        }
    }
}

impl Refusal {
    /// `None`: the status is a failure.
    pub fn of(status: &Status) -> Option<Self> {
        match status.code() {
            Code::ResourceExhausted => {
                let earliest = status.get_details_retry_info().and_then(|info| info.retry_delay);
                Some(Self::Dry { earliest })
            }
            Code::FailedPrecondition => {
                let mut info = status.get_details_error_info()?;
                (info.reason == NOT_LEADER && info.domain == DOMAIN)
                    .then(|| Self::NotLeader { leader: info.metadata.remove(LEADER).unwrap_or_default() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_cross_the_wire() {
        for refusal in [
            Refusal::Dry { earliest: None },
            Refusal::Dry { earliest: Some(Duration::from_millis(1_500)) },
            Refusal::NotLeader { leader: "http://127.0.0.1:50051".into() },
            Refusal::NotLeader { leader: String::new() },
        ] {
            assert_eq!(Refusal::of(&refusal.clone().into()), Some(refusal));
        }
        assert_eq!(Refusal::of(&Status::unavailable("gone")), None);
        assert_eq!(Refusal::of(&Status::failed_precondition("something else")), None);
    }
}
