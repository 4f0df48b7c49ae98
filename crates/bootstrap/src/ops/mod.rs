//! What operators and platforms ask every process: `/healthz` (alive), `/readyz` (each dependency by name), `/metrics` (Prometheus text).
//!
//! The gateway mounts [`Ops::configure`] among its routes; other services run [`serve()`]. Nothing here needs a key, so nothing here tells
//! more than names and states.

mod gather;
pub(crate) mod limits;
mod readiness;
mod serve;

pub use serve::serve;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use domain::ports::Probe;
use prometheus::{Encoder, Registry, TextEncoder};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the routes answer from.
#[derive(Clone)]
pub struct Ops {
    /// One for each service in the process, and one for the process itself.
    pub registries: Vec<Registry>,
    pub probes: Vec<Arc<dyn Probe>>,
    /// A process that is shutting down is not ready.
    pub shutdown: CancellationToken,
}

/// A registry with the process's own measures: `process_*`, and the limits that hold for it.
///
/// # Errors
/// Never with a fresh registry; the type is prometheus's.
pub fn registry() -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    let process = prometheus::process_collector::ProcessCollector::for_self();
    registry.register(Box::new(process))?;
    limits::register(&registry)?;
    Ok(registry)
}

impl Ops {
    /// All three routes.
    pub fn configure(&self, app: &mut web::ServiceConfig) {
        self.configure_health(app);
        self.configure_metrics(app);
    }

    pub fn configure_health(&self, app: &mut web::ServiceConfig) {
        let ops = self.clone();
        app.route("/healthz", web::get().to(healthz)).route(
            "/readyz",
            web::get().to(move || {
                let ops = ops.clone();
                async move { readiness::answer(&ops).await }
            }),
        );
    }

    pub fn configure_metrics(&self, app: &mut web::ServiceConfig) {
        let registries = self.registries.clone();
        app.route("/metrics", web::get().to(move || std::future::ready(metrics(&registries))));
    }
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(serde_json::json!({"status": "ok"}))
}

fn metrics(registries: &[Registry]) -> HttpResponse {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&gather::gather(registries), &mut text) {
        Ok(()) => HttpResponse::Ok().insert_header((CONTENT_TYPE, prometheus::TEXT_FORMAT)).body(text),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}
