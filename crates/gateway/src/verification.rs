//! The books, added up: page by page on the live system, no lock held. On an operator's request, and by itself every ten minutes.
//!
//! It changes nothing. Every gateway does it, at times of its own: a page is one short statement, and a pause follows it.

use crate::core::Core;
use crate::problem::ApiError;
use domain::ports::accounts::Discrepancy;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const ACCOUNTS_A_PAGE: u16 = 100;
/// At most this many are kept by name.
const NAMED_MOST: usize = 1_000;
/// About: gateways that started together drift apart.
const EVERY: Duration = Duration::from_secs(600);
/// The first time, so that a gateway that has just started says something soon.
const FIRST_AFTER: Duration = Duration::from_secs(5);
/// Between two pages of the background's: ten thousand accounts take 20 s, and the ledger hardly notices.
const PAUSE: Duration = Duration::from_millis(200);
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

/// Verifies every now and then, until it is dropped.
pub(crate) async fn run(core: Arc<Core>) {
    sleep(FIRST_AFTER.mul_f64(0.5 + rand::random::<f64>())).await;
    loop {
        let pause = match verify(&core, PAUSE, None).await {
            Ok(books) if books.wrong > 0 => {
                let first = books.named.first().map(|wrong| wrong.account_id.to_string());
                tracing::error!(wrong = books.wrong, account_id = first, "the books of accounts do not add up");
                EVERY
            }
            Ok(_) => EVERY,
            Err(_) => AGAIN_AFTER,
        };
        sleep(pause.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
    }
}

/// Adds up all books and shows the result as a metric.
pub(crate) async fn verify(core: &Core, pause: Duration, deadline: Option<Instant>) -> Result<Books, Unfinished> {
    let (mut books, mut after) = (Books::default(), None);
    loop {
        let page =
            core.call(core.backends.accounts.verify(after, ACCOUNTS_A_PAGE)).await.map_err(Unfinished::Failed)?;
        books.accounts += page.accounts;
        books.wrong += page.discrepancies.len() as u64;
        let room = NAMED_MOST - books.named.len();
        books.named.extend(page.discrepancies.into_iter().take(room));
        after = page.next;
        if after.is_none() {
            break;
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Unfinished::TooMany);
        }
        sleep(pause).await;
    }
    core.metrics.ledger_discrepancies.set(i64::try_from(books.wrong).unwrap_or(i64::MAX));
    core.metrics.ledger_verified.set(core.backends.clock.now().timestamp());
    Ok(books)
}
