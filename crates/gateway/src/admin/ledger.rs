//! The books, added up on a live system: account by account, no lock held.

use crate::admit::Operator;
use crate::core::Core;
use crate::problem::ApiError;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

const ACCOUNTS_A_STEP: u16 = 100;
/// At most this many are named.
const DISCREPANCIES_MOST: usize = 1_000;
/// A system too large for it is verified from the command line, page by page.
const VERIFIED_WITHIN: Duration = Duration::from_secs(120);

pub(crate) async fn verify(core: web::Data<Core>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let deadline = Instant::now() + VERIFIED_WITHIN;
    let (mut accounts, mut wrong, mut named, mut after) = (0, 0_i64, Vec::<Value>::new(), None);
    loop {
        let step = core.call(core.backends.accounts.verify(after, ACCOUNTS_A_STEP)).await?;
        accounts += step.accounts;
        for discrepancy in step.discrepancies {
            wrong += 1;
            if named.len() < DISCREPANCIES_MOST {
                named.push(json!({"account_id": discrepancy.account_id, "detail": discrepancy.detail}));
            }
        }
        after = step.next;
        if after.is_none() {
            break;
        }
        if Instant::now() >= deadline {
            return Err(ApiError::unavailable("There are more accounts than one request can add up."));
        }
    }
    core.metrics.ledger_discrepancies.set(wrong);
    Ok(HttpResponse::Ok().json(json!({"ok": wrong == 0, "accounts": accounts, "discrepancies": named})))
}
