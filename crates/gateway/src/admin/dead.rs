//! Rings that were laid aside because they made no sense: seen, rung again, or dropped.
//!
//! They are no work: what they spoke of was found without them. They tell of somebody who rings in words that this version does not know.

use super::change::{Change, Done};
use super::id;
use crate::admit::Operator;
use crate::body;
use crate::core::Core;
use crate::openapi::params;
use crate::page::{self, PageView};
use crate::problem::ApiError;
use crate::query::Query;
use crate::view::At;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::page::Page;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Rings that say the same and made no sense.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
struct DeadLetterForm {
    /// Made from what they say.
    #[schema(value_type = String)]
    id: Uuid,
    /// `dead_letter`
    object: &'static str,
    /// The broker's word for why: `rejected` (nobody understood it) or `delivery_limit` (it came back too often).
    reason: String,
    count: u32,
    /// When the last of them was laid aside.
    died_at: Option<At>,
    /// How long it is.
    bytes: u64,
    /// Its first 256 bytes, as text.
    preview: String,
}

/// What was rung again.
#[derive(Serialize, ToSchema)]
struct Requeued {
    #[schema(value_type = String)]
    id: Uuid,
    requeued: u32,
}

/// List what was laid aside
///
/// Rings that made no sense, equal ones as one, by id. The broker keeps the last thousand.
#[utoipa::path(
    get,
    path = "/admin/v1/queue/dead",
    operation_id = "listDeadLetters",
    tag = "Operations",
    params(params::Paging),
    responses(
        (status = 200, description = "A page.", body = PageView<DeadLetterForm>),
    ),
)]
pub(crate) async fn list(
    core: web::Data<Core>,
    _operator: Operator,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(&request);
    let asked = page::asked(&mut query);
    query.finish()?;
    let mut letters = core.call(core.backends.doorbell.dead_letters()).await?;
    letters.retain(|letter| asked.after.is_none_or(|after| letter.id > after));
    let shown = Page::from_rows(letters, asked.limit, |letter| letter.id).map(|letter| DeadLetterForm {
        id: letter.id,
        object: "dead_letter",
        reason: letter.reason,
        count: letter.count,
        died_at: letter.died_at.map(At),
        bytes: letter.bytes,
        preview: letter.preview,
    });
    page::answer(&request, &query, shown)
}

/// Ring again what was laid aside
///
/// To the workers, as it is. Those who still do not understand it lay it aside again.
#[utoipa::path(
    post,
    path = "/admin/v1/queue/dead/{id}/requeue",
    operation_id = "requeueDeadLetter",
    tag = "Operations",
    params(params::DeadLetter, params::IdempotencyKey),
    responses(
        (status = 200, description = "Rung again.", body = Requeued),
    ),
)]
pub(crate) async fn requeue(
    core: web::Data<Core>,
    operator: Operator,
    letter: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let letter: Uuid = id(&letter)?;
    body::none(&request, payload).await?;
    let fingerprint = [0; 32];
    let change = Change { core: &core, operator: &operator, request: &request, action: "dead.requeue", fingerprint };
    change
        .make(async {
            let requeued = core.call(core.backends.doorbell.requeue_dead(letter)).await?;
            ended(&core, requeued)?;
            Ok(Done::new(StatusCode::OK, &Requeued { id: letter, requeued })?.subject(&letter))
        })
        .await
}

/// Drop what was laid aside
#[utoipa::path(
    delete,
    path = "/admin/v1/queue/dead/{id}",
    operation_id = "discardDeadLetter",
    tag = "Operations",
    params(params::DeadLetter, params::IdempotencyKey),
    responses(
        (status = 204, description = "Gone."),
    ),
)]
pub(crate) async fn discard(
    core: web::Data<Core>,
    operator: Operator,
    letter: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let letter: Uuid = id(&letter)?;
    body::none(&request, payload).await?;
    let fingerprint = [0; 32];
    let change = Change { core: &core, operator: &operator, request: &request, action: "dead.discard", fingerprint };
    change
        .make(async {
            let discarded = core.call(core.backends.doorbell.discard_dead(letter)).await?;
            ended(&core, discarded)?;
            Ok(Done::empty().subject(&letter))
        })
        .await
}

fn ended(core: &Core, count: u32) -> Result<(), ApiError> {
    if count == 0 {
        return Err(ApiError::not_found());
    }
    core.changed();
    Ok(())
}
