//! Conversions between the protocol's messages and the domain's types. What comes in is parsed here, once; what is malformed is named
//! by its field and never repeated, for it may be a secret.

use crate::proto;
use domain::Timestamp;
use domain::token::{
    AcquireRequest, ImportOutcome, LeaseOutcome, PoolStats, TokenImport, TokenLease, TokenState, TokenView, Wanted,
};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// A field that is missing or not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is missing or malformed")]
pub struct Malformed(pub &'static str);

impl From<Malformed> for tonic::Status {
    fn from(malformed: Malformed) -> Self {
        crate::refusal::invalid(malformed.0, &malformed.to_string())
    }
}

fn id<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, Malformed> {
    text.parse().map_err(|_| Malformed(field))
}

/// Longer than any proto duration is as good as endless.
fn to_proto_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

fn duration(value: prost_types::Duration, field: &'static str) -> Result<Duration, Malformed> {
    Duration::try_from(value).map_err(|_| Malformed(field))
}

fn to_proto_time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0) }
}

fn time(value: prost_types::Timestamp, field: &'static str) -> Result<Timestamp, Malformed> {
    let nanos = u32::try_from(value.nanos).map_err(|_| Malformed(field))?;
    Timestamp::from_timestamp(value.seconds, nanos).ok_or(Malformed(field))
}

impl proto::AcquireRequest {
    /// `request_id` makes a repeat of the call answer what the first one did.
    pub fn new(request: &AcquireRequest, request_id: [u8; 16]) -> Self {
        let wanted = match request.wanted {
            Wanted::Count(count) => proto::acquire_request::Wanted::Count(count),
            Wanted::Token(token) => proto::acquire_request::Wanted::TokenId(token.to_string()),
        };
        Self {
            owner: request.owner.to_string(),
            wanted: Some(wanted),
            wait_up_to: Some(to_proto_duration(request.wait_up_to)),
            request_id: request_id.to_vec(),
        }
    }

    /// The repeat's name, where the caller gave one.
    pub fn parse(self) -> Result<(AcquireRequest, Option<[u8; 16]>), Malformed> {
        let request_id = match self.request_id.as_slice() {
            [] => None,
            bytes => Some(bytes.try_into().map_err(|_| Malformed("request_id"))?),
        };
        let wanted = match self.wanted.ok_or(Malformed("wanted"))? {
            proto::acquire_request::Wanted::Count(count) => Wanted::Count(count),
            proto::acquire_request::Wanted::TokenId(token) => Wanted::Token(id(&token, "token_id")?),
        };
        let wait_up_to = self.wait_up_to.map_or(Ok(Duration::ZERO), |wait| duration(wait, "wait_up_to"))?;
        Ok((AcquireRequest { owner: id(&self.owner, "owner")?, wanted, wait_up_to }, request_id))
    }
}

impl From<TokenLease> for proto::Lease {
    fn from(lease: TokenLease) -> Self {
        Self {
            lease_id: lease.lease_id.to_string(),
            token_id: lease.token_id.to_string(),
            secret: lease.secret.expose_secret().to_owned(),
            fencing_token: lease.fencing_token,
            expires_in: Some(to_proto_duration(lease.expires_in)),
        }
    }
}

impl TryFrom<proto::Lease> for TokenLease {
    type Error = Malformed;

    fn try_from(lease: proto::Lease) -> Result<Self, Malformed> {
        let expires_in = lease.expires_in.ok_or(Malformed("expires_in"))?;
        Ok(Self {
            lease_id: id(&lease.lease_id, "lease_id")?,
            token_id: id(&lease.token_id, "token_id")?,
            secret: SecretString::from(lease.secret),
            fencing_token: lease.fencing_token,
            expires_in: duration(expires_in, "expires_in")?,
        })
    }
}

impl proto::Release {
    pub fn new(lease_id: domain::ids::LeaseId, outcome: LeaseOutcome) -> Self {
        let mut retry_after = None;
        let outcome = match outcome {
            LeaseOutcome::Ok => proto::Outcome::Ok,
            LeaseOutcome::RateLimited { retry_after: after } => {
                retry_after = after.map(to_proto_duration);
                proto::Outcome::RateLimited
            }
            LeaseOutcome::Unauthorized => proto::Outcome::Unauthorized,
            LeaseOutcome::OutOfCredit => proto::Outcome::OutOfCredit,
            LeaseOutcome::UpstreamError => proto::Outcome::UpstreamError,
            LeaseOutcome::Abandoned => proto::Outcome::Abandoned,
        };
        Self { lease_id: lease_id.to_string(), outcome: outcome.into(), retry_after }
    }

    pub fn parse(self) -> Result<(domain::ids::LeaseId, LeaseOutcome), Malformed> {
        let lease_id = id(&self.lease_id, "lease_id")?;
        let outcome = match self.outcome() {
            proto::Outcome::Unspecified => return Err(Malformed("outcome")),
            proto::Outcome::Ok => LeaseOutcome::Ok,
            proto::Outcome::RateLimited => LeaseOutcome::RateLimited {
                // What the upstream wrote there is not ours to vouch for: nonsense counts as nothing.
                retry_after: self.retry_after.and_then(|after| duration(after, "retry_after").ok()),
            },
            proto::Outcome::Unauthorized => LeaseOutcome::Unauthorized,
            proto::Outcome::OutOfCredit => LeaseOutcome::OutOfCredit,
            proto::Outcome::UpstreamError => LeaseOutcome::UpstreamError,
            proto::Outcome::Abandoned => LeaseOutcome::Abandoned,
        };
        Ok((lease_id, outcome))
    }
}

/// Lease ids as the renewals carry them.
pub(crate) fn lease_ids(texts: &[String]) -> Result<Vec<domain::ids::LeaseId>, Malformed> {
    texts.iter().map(|text| id(text, "lease_ids")).collect()
}

impl proto::RenewRequest {
    pub fn parse(&self) -> Result<Vec<domain::ids::LeaseId>, Malformed> {
        lease_ids(&self.lease_ids)
    }
}

impl From<TokenImport> for proto::NewToken {
    fn from(token: TokenImport) -> Self {
        Self {
            secret: token.secret.expose_secret().to_owned(),
            label: token.label,
            max_concurrency: token.max_concurrency,
            requests_per_minute: token.requests_per_minute,
            expires_at: token.expires_at.map(to_proto_time),
        }
    }
}

impl TryFrom<proto::NewToken> for TokenImport {
    type Error = Malformed;

    fn try_from(token: proto::NewToken) -> Result<Self, Malformed> {
        Ok(Self {
            secret: SecretString::from(token.secret),
            label: token.label,
            max_concurrency: token.max_concurrency,
            requests_per_minute: token.requests_per_minute,
            expires_at: token.expires_at.map(|at| time(at, "expires_at")).transpose()?,
        })
    }
}

impl From<ImportOutcome> for proto::ImportResult {
    fn from(outcome: ImportOutcome) -> Self {
        use proto::import_result::Result as Wire;
        let result = match outcome {
            ImportOutcome::Imported(token) => Wire::Imported(token.to_string()),
            ImportOutcome::Duplicate(token) => Wire::Duplicate(token.to_string()),
            ImportOutcome::PoolFull => Wire::PoolFull(proto::PoolFull {}),
        };
        Self { result: Some(result) }
    }
}

impl TryFrom<proto::ImportResult> for ImportOutcome {
    type Error = Malformed;

    fn try_from(result: proto::ImportResult) -> Result<Self, Malformed> {
        use proto::import_result::Result as Wire;
        Ok(match result.result.ok_or(Malformed("result"))? {
            Wire::Imported(token) => Self::Imported(id(&token, "imported")?),
            Wire::Duplicate(token) => Self::Duplicate(id(&token, "duplicate")?),
            Wire::PoolFull(proto::PoolFull {}) => Self::PoolFull,
        })
    }
}

impl From<TokenView> for proto::Token {
    fn from(view: TokenView) -> Self {
        Self {
            token_id: view.id.to_string(),
            label: view.label,
            state: view.state.name().to_owned(),
            until: view.until.map(to_proto_time),
            reason: view.reason,
            max_concurrency: view.max_concurrency,
            requests_per_minute: view.requests_per_minute,
            leased: view.leased,
            expires_at: view.expires_at.map(to_proto_time),
            created_at: Some(to_proto_time(view.created_at)),
        }
    }
}

impl TryFrom<proto::Token> for TokenView {
    type Error = Malformed;

    fn try_from(token: proto::Token) -> Result<Self, Malformed> {
        Ok(Self {
            id: id(&token.token_id, "token_id")?,
            label: token.label,
            state: TokenState::parse(&token.state).ok_or(Malformed("state"))?,
            until: token.until.map(|at| time(at, "until")).transpose()?,
            reason: token.reason,
            max_concurrency: token.max_concurrency,
            requests_per_minute: token.requests_per_minute,
            leased: token.leased,
            expires_at: token.expires_at.map(|at| time(at, "expires_at")).transpose()?,
            created_at: time(token.created_at.ok_or(Malformed("created_at"))?, "created_at")?,
        })
    }
}

impl From<PoolStats> for proto::StatsResponse {
    fn from(stats: PoolStats) -> Self {
        let PoolStats { min, max, usable, leased, cooling, quarantined, exhausted, disabled } = stats;
        Self { min, max, usable, leased, cooling, quarantined, exhausted, disabled }
    }
}

impl From<proto::StatsResponse> for PoolStats {
    fn from(stats: proto::StatsResponse) -> Self {
        let proto::StatsResponse { min, max, usable, leased, cooling, quarantined, exhausted, disabled } = stats;
        Self { min, max, usable, leased, cooling, quarantined, exhausted, disabled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{LeaseId, TokenId, WorkerId};

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn requests_and_releases_read_back() {
        let request = AcquireRequest {
            owner: WorkerId::new(AT, [1; 10]),
            wanted: Wanted::Token(TokenId::new(AT, [2; 10])),
            wait_up_to: Duration::from_millis(250),
        };
        let (read, request_id) = proto::AcquireRequest::new(&request, [3; 16]).parse().unwrap();
        assert_eq!((read.owner, &read.wanted, read.wait_up_to), (request.owner, &request.wanted, request.wait_up_to));
        assert_eq!(request_id, Some([3; 16]));

        let lease = LeaseId::new(AT, [4; 10]);
        for outcome in [
            LeaseOutcome::Ok,
            LeaseOutcome::RateLimited { retry_after: Some(Duration::from_secs(7)) },
            LeaseOutcome::RateLimited { retry_after: None },
            LeaseOutcome::Unauthorized,
            LeaseOutcome::OutOfCredit,
            LeaseOutcome::UpstreamError,
            LeaseOutcome::Abandoned,
        ] {
            assert_eq!(proto::Release::new(lease, outcome).parse(), Ok((lease, outcome)));
        }
        let unspecified = proto::Release { lease_id: lease.to_string(), outcome: 0, retry_after: None };
        assert_eq!(unspecified.parse(), Err(Malformed("outcome")));
    }

    #[test]
    fn secrets_are_not_in_debug_output() {
        let lease = proto::Lease { secret: "hush-hush".into(), ..Default::default() };
        let token = proto::NewToken { secret: "hush-hush".into(), ..Default::default() };
        let answer = proto::AcquireResponse { leases: vec![lease.clone()] };
        let import = proto::ImportRequest { tokens: vec![token.clone()] };
        for text in [format!("{lease:?}"), format!("{token:?}"), format!("{answer:?}"), format!("{import:?}")] {
            assert!(!text.contains("hush"), "{text}");
        }
    }
}
