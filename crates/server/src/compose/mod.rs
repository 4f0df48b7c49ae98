//! From settings to ports: the only place that knows which adapter stands behind each.

pub(crate) mod examine;
mod pool;
mod stores;
mod upstreams;

pub use pool::{OwnPool, own_pool, pool_settings, pool_tls, remote_pool};
pub use stores::{Stores, stores};
pub use upstreams::{Bundled, bundled_simulator, simulator_script, upstream};

use bootstrap::Settings;
use bootstrap::ops::Ops;
use domain::ports::Probe;
use prometheus::Registry;
use std::net::TcpListener;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The routes that operators and platforms ask, from these parts.
pub fn ops(registries: Vec<Registry>, probes: Vec<Arc<dyn Probe>>, shutdown: &CancellationToken) -> Ops {
    Ops { registries, probes, shutdown: shutdown.clone() }
}

/// The listener for health and metrics of a service without an API.
pub fn ops_listener(settings: &Settings) -> anyhow::Result<TcpListener> {
    let listen = &settings.listen;
    let (name, port) = listen.ops_port.map_or(("PORT", listen.port), |port| ("OPS_PORT", port));
    Ok(bootstrap::listener::bind(name, listen.host, port)?)
}

/// This process, for people: machine and process id.
pub fn process_name() -> String {
    format!("{}/{}", machine_name(), std::process::id())
}

pub(crate) fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}
