//! How much may wait before a submission is refused with 503. Soft: counts are a second old.

use crate::problem::ApiError;
use domain::account::Account;
use domain::ids::AccountId;
use domain::ports::generations::Backlog;
use domain::ports::{Generations, StoreError};
use moka::future::Cache;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const COUNTED_FOR: Duration = Duration::from_secs(1);
/// A store that hangs answers nothing, and its own time-outs hang with it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
const ACCOUNTS_MOST: u64 = 50_000;

pub(crate) struct Backlogs {
    generations: Arc<dyn Generations>,
    account_max: u32,
    total_max: u64,
    counted: Cache<AccountId, Backlog>,
}

impl Backlogs {
    pub(crate) fn new(generations: Arc<dyn Generations>, account_max: u32, total_max: u64) -> Self {
        let counted = Cache::builder().max_capacity(ACCOUNTS_MOST).time_to_live(COUNTED_FOR).build();
        Self { generations, account_max, total_max, counted }
    }

    /// Refuses when the account's or the whole backlog is over its bound.
    pub(crate) async fn check(&self, account: &Account) -> Result<(), ApiError> {
        let counting = self.counted.try_get_with(account.id, self.generations.backlog(account.id));
        let late = |_| Arc::new(StoreError::Unavailable("no answer in time".into()));
        let counted = timeout(ANSWERED_WITHIN, counting).await.map_err(late).flatten();
        let backlog = counted.map_err(|error: Arc<StoreError>| {
            tracing::warn!(%error, "the backlog could not be counted");
            ApiError::unavailable("The ledger does not answer for the moment. Nothing was charged.")
        })?;
        let most = account.overrides.backlog_max.unwrap_or(self.account_max);
        if backlog.account >= u64::from(most) {
            let detail = format!("{most} generations of this account are waiting already. Nothing was charged.");
            return Err(ApiError::overloaded(&detail, 30));
        }
        if backlog.total >= self.total_max {
            return Err(ApiError::overloaded("Too many generations are waiting. Nothing was charged.", 60));
        }
        Ok(())
    }
}
