//! The typed client of the public and the operators' API: the command line, the load test and the end-to-end tests use it.
//!
//! It retries only what is safe to repeat (reads, and changes that carry an idempotency key), a bounded number of times, and waits as
//! long as it is told to ([`Retries`]). Every call has a deadline and every answer a size that it may not exceed. The key goes to the
//! base address alone, never to the host of an audio file.

mod account;
pub mod admin;
mod download;
mod error;
mod events;
mod generations;
mod health;
mod page;
mod sse;
mod transport;
mod types;

pub use download::LARGEST_FILE;
pub use error::{ClientError, FieldProblem, Problem};
pub use events::{Event, EventKind, Events};
pub use generations::{GenerationQuery, NewGeneration, Submission, Submitted};
pub use health::Readiness;
pub use page::{Page, PageQuery};
pub use transport::Retries;
pub use types::{
    Account, AccountLimits, CreditEntry, CreditState, Credits, Explanation, FailureView, Generation, MonthlyUse, Queue,
    RateLimit, Urls,
};

use secrecy::SecretString;
use transport::Transport;

/// One customer, one operator, or somebody without a key, at one address. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
}

impl Client {
    /// `base_url`: `http(s)://host[:port]`, with or without a path in front of `/v1`.
    ///
    /// # Errors
    /// [`ClientError::BadUrl`] when it is not such an address, or the key is no header value.
    pub fn new(base_url: &str, api_key: &SecretString) -> Result<Self, ClientError> {
        Ok(Self { transport: Transport::new(base_url, Some(api_key))? })
    }

    /// For what is answered to anybody.
    ///
    /// # Errors
    /// [`ClientError::BadUrl`] when it is not such an address.
    pub fn without_key(base_url: &str) -> Result<Self, ClientError> {
        Ok(Self { transport: Transport::new(base_url, None)? })
    }

    /// The same client with other patience.
    #[must_use]
    pub fn with_retries(mut self, retries: Retries) -> Self {
        self.transport.retries = retries;
        self
    }

    /// The operators' calls, for a client that holds an admin key.
    pub fn admin(&self) -> admin::Admin<'_> {
        admin::Admin::new(&self.transport)
    }
}

/// A new idempotency key: 128 random bits.
pub fn fresh_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}
