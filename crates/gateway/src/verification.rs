//! The books, added up: a few accounts a call on the live system, no lock held. On an operator's request, and by itself every ten minutes.
//!
//! It changes nothing. Each account is one statement, as long as its history is; a call is a few of them, so that it ends in time, and one alone
//! where that is too much. What fails goes on where it stood. Gateways share the work: of many, each does it the less often.

use crate::core::Core;
use crate::problem::ApiError;
use domain::ids::AccountId;
use domain::ports::accounts::Discrepancy;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A call has five seconds, whatever its accounts have behind them.
const ACCOUNTS_A_CALL: u16 = 8;
/// At most this many are kept by name.
const NAMED_MOST: usize = 1_000;
/// About, over all gateways: those that started together drift apart.
const EVERY: Duration = Duration::from_secs(600);
/// However many gateways there are, each comes to it within so many times that: what it says is not older.
const SHARED_MOST: u32 = 4;
/// The first time, so that a gateway that has just started says something soon.
const FIRST_AFTER: Duration = Duration::from_secs(5);
/// Between two calls of the background's: ten thousand accounts without history take half a minute, and the ledger hardly notices.
const PAUSE: Duration = Duration::from_millis(20);
/// After a failure.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What adding up came to.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) accounts: u64,
    pub(crate) wrong: u64,
    /// The first thousand of them.
    pub(crate) named: Vec<Discrepancy>,
}

/// Why it came to nothing.
pub(crate) enum Unfinished {
    Failed(ApiError),
    TooMany,
}

/// How far adding up has come; what was added up stays so when a call fails.
#[derive(Default)]
struct Walk {
    books: Books,
    after: Option<AccountId>,
}

impl Walk {
    /// A few accounts more. Whether there are others after them.
    async fn step(&mut self, core: &Core) -> Result<bool, ApiError> {
        let accounts = &core.backends.accounts;
        let page = match core.call(accounts.verify(self.after, ACCOUNTS_A_CALL)).await {
            Ok(page) => page,
            // One of them may be long: each for itself.
            Err(_) => core.call(accounts.verify(self.after, 1)).await?,
        };
        let Books { accounts, wrong, named } = &mut self.books;
        *accounts += page.accounts;
        *wrong += page.discrepancies.len() as u64;
        let room = NAMED_MOST - named.len();
        named.extend(page.discrepancies.into_iter().take(room));
        self.after = page.next;
        Ok(self.after.is_some())
    }

    /// All of them; shows the result as a metric.
    async fn finish(&mut self, core: &Core, pause: Duration, deadline: Option<Instant>) -> Result<Books, Unfinished> {
        while self.step(core).await.map_err(Unfinished::Failed)? {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Unfinished::TooMany);
            }
            sleep(pause).await;
        }
        let books = std::mem::take(self).books;
        core.metrics.ledger_discrepancies.set(i64::try_from(books.wrong).unwrap_or(i64::MAX));
        core.metrics.ledger_verified.set(core.backends.clock.now().timestamp());
        Ok(books)
    }
}

/// Verifies every now and then, until it is dropped.
pub(crate) async fn run(core: Arc<Core>) {
    sleep(FIRST_AFTER.mul_f64(0.5 + rand::random::<f64>())).await;
    let mut walk = Walk::default();
    loop {
        let pause = match walk.finish(&core, PAUSE, None).await {
            Ok(books) => {
                if books.wrong > 0 {
                    let first = books.named.first().map(|wrong| wrong.account_id.to_string());
                    tracing::error!(wrong = books.wrong, account_id = first, "the books of accounts do not add up");
                }
                EVERY * core.limits.gateways().clamp(1, SHARED_MOST)
            }
            Err(_) => AGAIN_AFTER,
        };
        sleep(pause.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
    }
}

/// Adds up all books for somebody who waits for it.
pub(crate) async fn verify(core: &Core, deadline: Instant) -> Result<Books, Unfinished> {
    Walk::default().finish(core, Duration::ZERO, Some(deadline)).await
}
