//! The gateway: HTTP in, 202 out, events back; and the operators' API.
//!
//! A request passes, in this order: `observe` (request id, span, metrics, problem bodies), `admit` (who asks, how often), its
//! route, and there `body`, the domain's parser, and one call of a port. It depends on no adapter: stores, doorbell and limiter come
//! as [`domain::ports::Backends`]. It reads no environment, installs no signal handler and owns no listener: the caller does.
//!
//! Not here: webhooks, the health and metrics pages (the composition root mounts those by [`Ops`]).

mod account;
mod address;
mod admin;
mod admit;
mod app;
mod authenticate;
mod backlog;
mod body;
mod callback;
mod console;
mod core;
mod cors;
mod counting;
mod docs;
mod etag;
mod fields;
mod generations;
mod heartbeat;
mod hub;
mod idempotency;
mod intake;
mod json;
mod limit;
mod metrics;
mod observe;
mod openapi;
mod page;
mod problem;
mod query;
mod reader;
mod request_id;
mod ringer;
mod run;
mod settings;
mod trace;
mod unauthenticated;
mod verification;
mod view;

pub use app::{PUBLIC_ROUTES, routes};
pub use openapi::document;
pub use problem::Code;
pub use run::run;
pub use settings::{Network, NetworkError, Settings};

use actix_web::web::ServiceConfig;
use domain::ports::{Backends, TokenAdmin};
use std::sync::Arc;

/// Mounts what every process answers (`/healthz`, `/readyz`, `/metrics`); given by the composition root.
pub type Ops = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// A second listener, for operators alone: `/admin` and `ops` are answered there, and `/admin` nowhere else.
pub struct Apart {
    pub listener: std::net::TcpListener,
    pub ops: Ops,
}

/// All that a gateway is made of.
pub struct Gateway {
    pub settings: Settings,
    pub backends: Backends,
    pub token_admin: Arc<dyn TokenAdmin>,
    /// Beside the API, on its listener.
    pub ops: Ops,
    pub apart: Option<Apart>,
    /// Where the gateway's metrics are registered.
    pub registry: prometheus::Registry,
}

/// Why a gateway stopped, other than being asked to.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("the HTTP server failed: {0}")]
    Server(#[from] std::io::Error),
}
