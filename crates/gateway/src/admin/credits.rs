//! Credits bought: they never lapse.

use super::change::{Change, Done};
use super::id;
use crate::admit::Operator;
use crate::core::Core;
use crate::problem::ApiError;
use crate::{body, view};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::{AccountId, EntryId};
use domain::ports::accounts::TopUp;

const AMOUNT_MOST: i64 = 1_000_000_000;
const REASON_LONGEST: usize = 500;

pub(crate) async fn top_up(
    core: web::Data<Core>,
    operator: Operator,
    account: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let account_id: AccountId = id(&account)?;
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
    change
        .make(async {
            let entry = EntryId::new(core.backends.clock.now(), rand::random());
            let top_up = TopUp { id: entry, account_id, amount, reason };
            let entry = core.call(core.backends.accounts.top_up(top_up)).await?.ok_or_else(ApiError::not_found)?;
            Ok(Done::new(StatusCode::CREATED, &view::entry(entry))?.subject(&account_id))
        })
        .await
}
