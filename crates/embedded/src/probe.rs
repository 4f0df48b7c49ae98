//! Readiness: the ledger answers when a statement on it does.

use crate::Ledger;
use async_trait::async_trait;
use domain::ports::Probe;
use std::time::Duration;

const ANSWERS_WITHIN: Duration = Duration::from_millis(900);

#[async_trait]
impl Probe for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn vital(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<(), String> {
        let question = sqlx::query_scalar!("select paused from scheduler").fetch_one(self.read());
        match tokio::time::timeout(ANSWERS_WITHIN, question).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}
