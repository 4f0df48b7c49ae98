//! `GET /v1/generations/{id}`.

use crate::admit::Customer;
use crate::core::Core;
use crate::problem::ApiError;
use crate::{etag, generations, view};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ports::generations::Scope;

pub(crate) async fn show(
    core: web::Data<Core>,
    customer: Customer,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let generation = generations::find(&core, Scope::Account(customer.account.id), &id).await?;
    etag::answer(&request, &view::generation(&generation))
}
