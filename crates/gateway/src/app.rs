//! The table of routes. What is mounted and what [`routes`] lists are one and the same.

use crate::problem::ApiError;
use crate::{account, admin, callback, console, docs, generations, openapi};
use actix_web::dev::Handler;
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, HttpResponse, Resource, Responder, guard};

/// What is answered without a key; everything else is not.
pub const PUBLIC_ROUTES: [&str; 8] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs/style.css",
    "/problems/{name}",
    "/internal/upstream/{token}",
];

/// Collects routes, and mounts them where there is something to mount them on.
pub(crate) struct Mount<'a, 'b> {
    service: Option<&'a mut ServiceConfig>,
    seen: &'b mut Vec<(&'static str, &'static str)>,
}

/// One path with its methods. Other methods are answered with 405 and `Allow`.
pub(crate) struct At<'m, 'a, 'b> {
    mount: &'m mut Mount<'a, 'b>,
    path: &'static str,
    resource: Resource,
}

impl<'a, 'b> Mount<'a, 'b> {
    pub(crate) fn at<'m>(&'m mut self, path: &'static str) -> At<'m, 'a, 'b> {
        At { mount: self, path, resource: web::resource(path) }
    }
}

macro_rules! verb {
    ($name:ident, $method:literal, $route:expr) => {
        pub(crate) fn $name<F, Args>(mut self, handler: F) -> Self
        where
            F: Handler<Args>,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            self.mount.seen.push(($method, self.path));
            self.resource = self.resource.route($route.to(handler));
            self
        }
    };
}

impl At<'_, '_, '_> {
    verb!(get, "GET", web::route().guard(guard::Any(guard::Get()).or(guard::Head())));
    verb!(stream, "GET", web::get());
    verb!(post, "POST", web::post());
    verb!(patch, "PATCH", web::patch());
    verb!(delete, "DELETE", web::delete());

    /// `allow`: the methods above, as the `Allow` header names them.
    pub(crate) fn only(self, allow: &'static str) {
        let refuse = move || async move { Err::<HttpResponse, _>(ApiError::method_not_allowed(allow)) };
        let resource = self.resource.default_service(web::to(refuse));
        if let Some(service) = self.mount.service.as_deref_mut() {
            service.service(resource);
        }
    }
}

fn all(mount: &mut Mount<'_, '_>) {
    customers(mount);
    operators(mount);
}

/// Those of [`PUBLIC_ROUTES`] that are the gateway's own.
fn open(m: &mut Mount<'_, '_>) {
    m.at("/openapi.json").get(openapi::serve).only("GET, HEAD");
    m.at("/docs").get(docs::page).only("GET, HEAD");
    m.at("/docs/style.css").get(docs::style).only("GET, HEAD");
    m.at("/problems/{name}").get(docs::problem).only("GET, HEAD");
    m.at("/internal/upstream/{token}").post(callback::called_back).only("POST");
}

fn customers(m: &mut Mount<'_, '_>) {
    m.at("/v1/generations").get(generations::list::list).post(generations::submit::submit).only("GET, HEAD, POST");
    m.at("/v1/generations/{id}").get(generations::show::show).only("GET, HEAD");
    m.at("/v1/generations/{id}/cancel").post(generations::cancel::cancel).only("POST");
    m.at("/v1/generations/{id}/events").stream(generations::events::events).only("GET");
    m.at("/v1/generations/{id}/explain").get(generations::explain::explain).only("GET, HEAD");
    m.at("/v1/account").get(account::show).only("GET, HEAD");
    m.at("/v1/account/ledger").get(account::ledger).only("GET, HEAD");
}

fn operators(m: &mut Mount<'_, '_>) {
    m.at("/admin/v1/accounts").get(admin::accounts::list).post(admin::accounts::create).only("GET, HEAD, POST");
    m.at("/admin/v1/accounts/{id}").get(admin::accounts::show).patch(admin::accounts::change).only("GET, HEAD, PATCH");
    m.at("/admin/v1/accounts/{id}/credits").post(admin::credits::top_up).only("POST");
    m.at("/admin/v1/accounts/{id}/keys").get(admin::keys::list).post(admin::keys::create).only("GET, HEAD, POST");
    m.at("/admin/v1/accounts/{id}/keys/{key_id}").delete(admin::keys::revoke).only("DELETE");
    m.at("/admin/v1/accounts/{id}/keys/{key_id}/rotate").post(admin::keys::rotate).only("POST");
    m.at("/admin/v1/generations").get(admin::generations::list).only("GET, HEAD");
    m.at("/admin/v1/generations/bulk").post(admin::bulk::change).only("POST");
    m.at("/admin/v1/generations/{id}").get(admin::generations::show).only("GET, HEAD");
    m.at("/admin/v1/generations/{id}/cancel").post(admin::generations::cancel).only("POST");
    m.at("/admin/v1/generations/{id}/retry").post(admin::generations::retry).only("POST");
    m.at("/admin/v1/queue").get(admin::queue::show).only("GET, HEAD");
    m.at("/admin/v1/queue/pause").post(admin::queue::pause).only("POST");
    m.at("/admin/v1/queue/dead").get(admin::dead::list).only("GET, HEAD");
    m.at("/admin/v1/queue/dead/{id}").delete(admin::dead::discard).only("DELETE");
    m.at("/admin/v1/queue/dead/{id}/requeue").post(admin::dead::requeue).only("POST");
    m.at("/admin/v1/queue/resume").post(admin::queue::resume).only("POST");
    m.at("/admin/v1/scaling").get(admin::scaling::show).only("GET, HEAD");
    m.at("/admin/v1/tokens").get(admin::tokens::list).post(admin::tokens::import).only("GET, HEAD, POST");
    m.at("/admin/v1/tokens/pool").get(admin::tokens::pool).only("GET, HEAD");
    m.at("/admin/v1/tokens/{id}").delete(admin::tokens::delete).only("DELETE");
    m.at("/admin/v1/tokens/{id}/disable").post(admin::tokens::disable).only("POST");
    m.at("/admin/v1/tokens/{id}/reinstate").post(admin::tokens::reinstate).only("POST");
    m.at("/admin/v1/workers").get(admin::workers::list).only("GET, HEAD");
    m.at("/admin/v1/workers/{id}/drain").post(admin::workers::drain).only("POST");
    m.at("/admin/v1/audit").get(admin::audit::list).only("GET, HEAD");
    m.at("/admin/v1/ledger/verify").get(admin::ledger::verify).only("GET, HEAD");
}

/// What of the API one listener answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    All,
    /// All but the operators' calls.
    Customers,
    Operators,
}

pub(crate) fn mount(service: &mut ServiceConfig, part: Part) {
    let mut mount = Mount { service: Some(service), seen: &mut Vec::new() };
    if part != Part::Operators {
        open(&mut mount);
        customers(&mut mount);
    }
    if part != Part::Customers {
        operators(&mut mount);
        console::mount(&mut mount);
    }
}

/// Every route of this API as method and pattern, the public ones left out.
pub fn routes() -> Vec<(&'static str, &'static str)> {
    let mut seen = Vec::new();
    all(&mut Mount { service: None, seen: &mut seen });
    seen
}

/// What is nowhere.
pub(crate) async fn nothing() -> Result<HttpResponse, ApiError> {
    Err(ApiError::not_found())
}
