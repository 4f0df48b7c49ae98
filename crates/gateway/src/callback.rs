//! `POST /internal/upstream/{token}`: the upstream says that something happened to a render.
//!
//! The token is the whole authentication. The body is read within its bounds and left aside: what is true is what a poll says, and the worker
//! that holds the generation polls as soon as it is rung. A ring that is lost costs the time to the next poll.

use crate::address::ClientAddress;
use crate::body;
use crate::core::Core;
use crate::limit::seconds;
use crate::problem::{ApiError, Code};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use domain::event::Notice;

pub(crate) async fn called_back(
    core: web::Data<Core>,
    token: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let now = core.backends.clock.now();
    let named = core.settings.callbacks.as_ref().and_then(|callbacks| callbacks.verify(&token, now));
    let Some(id) = named else {
        if let Some(address) = request.extensions().get::<ClientAddress>() {
            core.strangers.count(*address).map_err(|wait| {
                let detail = "Too many callbacks without a valid token from this address.";
                ApiError::new(Code::RateLimited, detail).retry_after(seconds(wait))
            })?;
        }
        return Err(ApiError::not_found());
    };
    body::none(&request, payload).await?;
    core.ringer.notice(Notice::CalledBack(id));
    Ok(HttpResponse::NoContent().finish())
}
