//! The books, added up on a live system: account by account, no lock held.

use crate::admit::Operator;
use crate::core::Core;
use crate::openapi::schema;
use crate::problem::ApiError;
use crate::verification::{self, Unfinished};
use actix_web::{HttpResponse, web};
use domain::ids::AccountId;
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

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
    let books = match verification::verify(&core, deadline).await {
        Ok(books) => books,
        Err(Unfinished::Failed(error)) => return Err(error),
        Err(Unfinished::TooMany) => {
            return Err(ApiError::unavailable("There are more accounts than one request can add up."));
        }
    };
    let discrepancies = books.named.into_iter();
    let discrepancies = discrepancies.map(|wrong| Named { account_id: wrong.account_id, detail: wrong.detail });
    Ok(HttpResponse::Ok().json(Verification {
        ok: books.wrong == 0,
        accounts: books.accounts,
        discrepancies: discrepancies.collect(),
    }))
}
