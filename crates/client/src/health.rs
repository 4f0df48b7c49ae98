//! How a process of ours says it is, at `/readyz`. That needs no key, and any answer is one: it is not judged here.

use crate::Client;
use crate::error::ClientError;
use std::time::Duration;

const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// What `/readyz` answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// 200: ready, whatever is degraded; 503: not.
    pub status: u16,
    /// What it says of itself and of each server that it needs.
    pub text: String,
}

impl Client {
    /// Asks once, for three seconds at most.
    ///
    /// # Errors
    /// Only when nothing that can be read was answered.
    pub async fn readiness(&self) -> Result<Readiness, ClientError> {
        let call = self.transport.get("readyz").longest(ANSWERS_WITHIN);
        let response = self.transport.answered(&call).await?;
        let status = response.status().as_u16();
        let body = self.transport.body(response, ANSWERS_WITHIN).await?;
        Ok(Readiness { status, text: String::from_utf8_lossy(&body).into_owned() })
    }
}
