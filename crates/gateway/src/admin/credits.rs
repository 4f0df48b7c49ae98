//! Credits bought: they never lapse.

use super::change::{Change, Done};
use super::id;
use crate::admit::Operator;
use crate::body;
use crate::core::Core;
use crate::openapi::params;
use crate::openapi::schema::{self, integer, named, text};
use crate::problem::ApiError;
use crate::view::account::{self, EntryView};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::{AccountId, EntryId};
use domain::ports::accounts::TopUp;
use domain::ports::operators::{Order, Outcome};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

const AMOUNT_MOST: i64 = 1_000_000_000;
const REASON_LONGEST: usize = 500;

named! {
    TopUpBody = schema::body(&["amount", "reason"], [
        ("amount", integer(&(1..=AMOUNT_MOST), "Credits.").into()),
        ("reason", text(REASON_LONGEST, "Shown in the account's ledger.").into()),
    ]);
}

/// Top up credits
///
/// They never lapse.
#[utoipa::path(
    post,
    path = "/admin/v1/accounts/{id}/credits",
    operation_id = "topUpCredits",
    tag = "Accounts",
    params(params::Account, params::IdempotencyKey),
    request_body(content = TopUpBody),
    responses(
        (status = 201, description = "Added.", body = EntryView),
    ),
)]
pub(crate) async fn top_up(
    core: web::Data<Core>,
    operator: Operator,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let account_id: AccountId = id(&path)?;
    let mut fields = body::fields(&request, payload, body::LARGEST).await?;
    let fingerprint = fields.fingerprint();
    for required in ["amount", "reason"] {
        if !fields.holds(required) {
            fields.refuse(required, "is required");
        }
    }
    let amount = fields.integer_in("amount", 1..=AMOUNT_MOST).unwrap_or_default();
    let reason = fields.text("reason", REASON_LONGEST).unwrap_or_default();
    fields.finish()?;
    let change = Change { core: &core, operator: &operator, request: &request, action: "credits.top_up", fingerprint };
    let entry = EntryId::new(core.backends.clock.now(), rand::random());
    let order = Order::TopUp(TopUp { id: entry, account_id, amount, reason });
    let show = |outcome: &Outcome| {
        let Outcome::Entry(entry) = outcome else { return Err(ApiError::internal()) };
        Done::new(StatusCode::CREATED, &account::entry(entry.clone()))
    };
    change.order(order, Some(account_id.to_string()), show, |_| ()).await
}
