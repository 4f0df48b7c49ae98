//! `GET /v1/generations/{id}`.

use crate::admit::Customer;
use crate::core::Core;
use crate::generations::{self, place};
use crate::openapi::params;
use crate::problem::ApiError;
use crate::view::GenerationView;
use crate::{etag, view};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ports::generations::Scope;

/// Read a generation
#[utoipa::path(
    get,
    path = "/v1/generations/{id}",
    operation_id = "showGeneration",
    tag = "Generations",
    params(params::Generation, params::IfNoneMatch),
    responses(
        (status = 200, description = "As it is now.", body = GenerationView<'_>),
        (status = 304, description = "Nothing has changed since."),
    ),
)]
pub(crate) async fn show(
    core: web::Data<Core>,
    customer: Customer,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let generation = generations::find(&core, Scope::Account(customer.account.id), &id).await?;
    let queue = place::where_cheap(&core, &generation).await;
    etag::answer(&request, &view::generation(&generation).standing(queue))
}
