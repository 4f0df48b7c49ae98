//! Why the pool did not do what it was asked, inside: as the domain's error for callers in process, as a status for those over gRPC.

use domain::ports::StoreError;
use domain::ports::pool::PoolError;
use token_pool_rpc::Refusal;
use tonic::Status;

#[derive(Debug)]
pub(crate) enum Refused {
    /// Empty while nobody is known to lead.
    NotLeader {
        leader: String,
    },
    /// The caller asked for what no caller may.
    Invalid(&'static str),
    Store(StoreError),
    /// In force here, not yet written: the ledger did not answer in time.
    Unwritten,
    Sealing,
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

const UNWRITTEN: &str = "the change is in force but not yet stored; it will be as soon as the ledger answers";

impl From<Refused> for PoolError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotLeader { leader } if leader.is_empty() => {
                Self::Unavailable("no replica leads at the moment".into())
            }
            Refused::NotLeader { leader } => Self::Unavailable(format!("the replica at {leader} leads")),
            Refused::Invalid(why) => Self::Denied(why.into()),
            Refused::Store(error @ StoreError::Corrupt(_)) => Self::Internal(error.to_string()),
            Refused::Store(error) => Self::Unavailable(error.to_string()),
            Refused::Unwritten => Self::Unavailable(UNWRITTEN.into()),
            Refused::Sealing => Self::Internal("a secret could not be sealed".into()),
        }
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotLeader { leader } => Refusal::NotLeader { leader }.into(),
            Refused::Invalid(why) => token_pool_rpc::invalid("request", why),
            other => match PoolError::from(other) {
                PoolError::Unavailable(text) => Self::unavailable(text),
                PoolError::Denied(text) => Self::permission_denied(text),
                PoolError::Internal(text) => Self::internal(text),
            },
        }
    }
}
