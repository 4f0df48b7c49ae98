//! The gate: default deny. Who asks, may they ask here, and how often.
//!
//! What matches no public route needs a key; a route that somebody forgets to think about is closed. The extractors
//! [`Customer`] and [`Operator`] are a second wall: without an identity no handler runs.

use crate::address::ClientAddress;
use crate::app::PUBLIC_ROUTES;
use crate::authenticate::Identity;
use crate::console;
use crate::core::Core;
use crate::limit::{seconds, write_headers};
use crate::problem::{ApiError, Code};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};
use domain::account::{AccountStatus, Principal};
use domain::rate::RateDecision;
use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

/// The account that asks, in a handler of `/v1`.
#[derive(Clone)]
pub(crate) struct Customer {
    pub(crate) principal: Arc<Principal>,
    /// Where it stands after this request; `None` when it has no limit.
    pub(crate) rate: Option<RateDecision>,
}

impl Deref for Customer {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

/// An operator, in a handler of `/admin/v1`.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) address: ClientAddress,
}

macro_rules! from_extensions {
    ($name:ident) => {
        impl FromRequest for $name {
            type Error = ApiError;
            type Future = Ready<Result<Self, ApiError>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(request.extensions().get::<Self>().cloned().ok_or_else(ApiError::unauthenticated))
            }
        }
    };
}

from_extensions!(Customer);
from_extensions!(Operator);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Open,
    Customers,
    Operators,
}

/// Judged by the path as the router will see it, so that escaped letters open nothing.
fn area(request: &ServiceRequest) -> Area {
    let path = request.match_info().as_str();
    let within = |base: &str| path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match request.resource_map().match_pattern(path) {
        Some(pattern) if PUBLIC_ROUTES.contains(&pattern.as_str()) => Area::Open,
        _ if within("/v1") => Area::Customers,
        // A route outside both areas that nobody called public is the operators'.
        Some(_) => Area::Operators,
        None if within("/admin") => Area::Operators,
        None => Area::Open,
    }
}

pub(crate) async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(core) = request.app_data::<web::Data<Core>>().cloned() else {
        return Ok(request.error_response(ApiError::internal()));
    };
    if console::concerns(&request) {
        return console::gate(core, request, next).await;
    }
    let mut rate = None;
    let mut response = match check(&core, &request, &mut rate).await {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(error) => request.error_response(error),
    };
    if let Some(decision) = rate {
        write_headers(&decision, core.backends.clock.now(), response.headers_mut());
    }
    Ok(response)
}

async fn check(core: &Core, request: &ServiceRequest, rate: &mut Option<RateDecision>) -> Result<(), ApiError> {
    let area = area(request);
    let address = ClientAddress::of(request, &core.settings.trusted_proxies);
    if area == Area::Open {
        request.extensions_mut().insert(address);
        return Ok(());
    }
    match (core.authenticator.identify(request.headers()).await, area) {
        (Err(error), _) => {
            if error.code() == Code::Unauthenticated {
                core.strangers.count(address).map_err(|wait| {
                    let detail = "Too many requests without a valid key from this address.";
                    ApiError::new(Code::RateLimited, detail).retry_after(seconds(wait))
                })?;
            }
            Err(error)
        }
        (Ok(Identity::Operator), Area::Operators) => {
            request.extensions_mut().insert(Operator { address });
            Ok(())
        }
        (Ok(Identity::Customer(principal)), Area::Customers) => {
            tracing::Span::current().record("account_id", tracing::field::display(&principal.account.id));
            *rate = limited(core, &principal).await?;
            if let Some(decision) = rate.filter(|decision| !decision.allowed) {
                let detail = format!("At most {} requests in any 60 seconds.", decision.limit);
                return Err(ApiError::new(Code::RateLimited, detail).retry_after(seconds(decision.retry_after)));
            }
            if principal.account.status == AccountStatus::Suspended {
                return Err(ApiError::new(Code::Forbidden, "The account is suspended."));
            }
            request.extensions_mut().insert(Customer { principal, rate: *rate });
            Ok(())
        }
        (Ok(Identity::Customer(_)), _) => Err(ApiError::new(Code::Forbidden, "This needs an operator's key.")),
        (Ok(Identity::Operator), _) => Err(ApiError::new(Code::Forbidden, "This needs a customer's key.")),
    }
}

async fn limited(core: &Core, principal: &Principal) -> Result<Option<RateDecision>, ApiError> {
    let account = &principal.account;
    let Some(limit) = account.limits(&core.settings.tiers).requests_per_minute else { return Ok(None) };
    let decision = core.limits.check(account.id, limit).await;
    if !decision.allowed {
        core.metrics.rate_limited.with_label_values(&[account.tier.name()]).inc();
    }
    Ok(Some(decision))
}
