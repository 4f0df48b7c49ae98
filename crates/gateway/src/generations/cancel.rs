//! `POST /v1/generations/{id}/cancel`: ends it and refunds, wherever it stands.

use crate::admit::Customer;
use crate::core::Core;
use crate::openapi::params;
use crate::problem::ApiError;
use crate::view::GenerationView;
use crate::{body, view};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::event::{Change, Notice};
use domain::generation::{CanceledBy, Generation};
use domain::ids::GenerationId;
use domain::ports::generations::{Canceled, Scope};

/// Cancel a generation
///
/// Ends and refunds it, wherever it stands; the upstream is told.
#[utoipa::path(
    post,
    path = "/v1/generations/{id}/cancel",
    operation_id = "cancelGeneration",
    tag = "Generations",
    params(params::Generation),
    responses(
        (status = 202, description = "Canceled.", body = GenerationView<'_>),
        (status = 409, description = "already_final"),
    ),
)]
pub(crate) async fn cancel(
    core: web::Data<Core>,
    customer: Customer,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    body::none(&request, payload).await?;
    let canceled = end(&core, Scope::Account(customer.account.id), &id, CanceledBy::Customer).await?;
    Ok(HttpResponse::Accepted().json(view::generation(&canceled)))
}

/// Cancels, then rings: readers hear of it, and the worker that owns it tells the upstream.
pub(crate) async fn end(core: &Core, scope: Scope, id: &str, by: CanceledBy) -> Result<Generation, ApiError> {
    let id: GenerationId = id.parse().map_err(|_| ApiError::not_found())?;
    match core.call(core.backends.generations.cancel(scope, id, by)).await? {
        Canceled::Canceled { generation, tell_workers } => {
            ring(core, &generation, tell_workers);
            Ok(*generation)
        }
        Canceled::AlreadyFinal(generation) => Err(ApiError::already_final(generation.status)),
        Canceled::NotFound => Err(ApiError::not_found()),
    }
}

/// Readers hear of a cancel, and the worker that owned it tells the upstream.
pub(crate) fn ring(core: &Core, generation: &Generation, tell_workers: bool) {
    let Generation { id, account_id, version, tier, .. } = *generation;
    core.metrics.canceled(tier);
    core.ringer.changed(Change { id, account_id, version, progress: None });
    if tell_workers {
        core.ringer.notice(Notice::Closing(id));
    }
}
