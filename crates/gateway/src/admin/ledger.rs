//! The books, added up on a live system: account by account, no lock held.

use crate::admit::Operator;
use crate::core::Core;
use crate::openapi::schema;
use crate::problem::ApiError;
use actix_web::{HttpResponse, web};
use domain::ids::AccountId;
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

const ACCOUNTS_A_STEP: u16 = 100;
/// At most this many are named.
const DISCREPANCIES_MOST: usize = 1_000;
/// A system too large for it is verified from the command line, page by page.
const VERIFIED_WITHIN: Duration = Duration::from_secs(120);

/// What adding up the books came to.
#[derive(Serialize, ToSchema)]
struct Verification {
    ok: bool,
    /// How many were added up.
    accounts: u64,
    /// Up to 1,000 are named.
    discrepancies: Vec<Named>,
}

/// An account whose books do not add up.
#[derive(Serialize, ToSchema)]
#[schema(as = Discrepancy)]
struct Named {
    #[schema(value_type = schema::AccountId)]
    account_id: AccountId,
    detail: String,
}

/// Verify the books
///
/// Adds up every account's books on the live system.
#[utoipa::path(
    get,
    path = "/admin/v1/ledger/verify",
    operation_id = "verifyLedger",
    tag = "Operations",
    responses(
        (status = 200, description = "What it came to.", body = Verification),
    ),
)]
pub(crate) async fn verify(core: web::Data<Core>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let deadline = Instant::now() + VERIFIED_WITHIN;
    let (mut accounts, mut wrong, mut named, mut after) = (0_u64, 0_i64, Vec::new(), None);
    loop {
        let step = core.call(core.backends.accounts.verify(after, ACCOUNTS_A_STEP)).await?;
        accounts += step.accounts;
        for discrepancy in step.discrepancies {
            wrong += 1;
            if named.len() < DISCREPANCIES_MOST {
                named.push(Named { account_id: discrepancy.account_id, detail: discrepancy.detail });
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
    Ok(HttpResponse::Ok().json(Verification { ok: wrong == 0, accounts, discrepancies: named }))
}
