//! `son1k-gateway`: HTTP in, against shared stores and a token pool elsewhere.

use crate::compose;
use crate::launch::say;
use ::gateway::Apart;
use anyhow::Context;
use bootstrap::{Settings, listener, ops};
use prometheus::Registry;
use std::net::TcpListener;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// HTTP threads beyond this only cost memory: the ledger is reached by then.
const HTTP_THREADS_MOST: usize = 8;

/// Runs a gateway until it is told to stop.
///
/// # Errors
/// A port, a store or a secret that cannot be used.
pub async fn gateway(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = listener::bind("PORT", settings.listen.host, settings.listen.port)?;
    let ops_listener = match settings.listen.ops_port {
        Some(port) => Some(listener::bind("OPS_PORT", settings.listen.host, port)?),
        None => None,
    };
    let pool = compose::remote_pool(&settings)?.context("TOKEN_POOL_URL is missing")?;
    let stores = compose::stores(&settings).await?;
    let registry = Registry::new();
    let mut probes = stores.backends.probes.clone();
    probes.push(pool.probe(false));
    let ops = compose::ops(vec![ops::registry()?, registry.clone()], probes, &shutdown);
    let gateway = ::gateway::Gateway {
        settings: gateway_settings(&settings)?,
        backends: stores.backends.clone(),
        token_admin: pool,
        ops: mounted(&ops, ops_listener.is_some()),
        apart: apart(&ops, ops_listener),
        registry,
    };
    let url = listener::local_url(&listener)?;
    say(&format!("ready {url}"));
    let served = ::gateway::run(gateway, listener, shutdown).await;
    stores.close().await;
    Ok(served?)
}

/// Operators' calls, health and metrics, where they have a port of their own.
pub(crate) fn apart(ops: &ops::Ops, listener: Option<TcpListener>) -> Option<Apart> {
    listener.map(|listener| Apart { listener, ops: mounted(ops, false) })
}

/// What is answered beside the API: everything, or health alone where metrics have a port of their own.
pub(crate) fn mounted(ops: &ops::Ops, apart: bool) -> ::gateway::Ops {
    let ops = ops.clone();
    Arc::new(move |app| if apart { ops.configure_health(app) } else { ops.configure(app) })
}

/// What a gateway is told.
///
/// # Errors
/// When a secret is missing that the role was not asked for.
pub(crate) fn gateway_settings(settings: &Settings) -> anyhow::Result<::gateway::Settings> {
    let secrets = &settings.secrets;
    let pepper = secrets.pepper.clone().context("API_KEY_PEPPER is missing")?;
    let admin_key = secrets.admin_key.clone().context("ADMIN_API_KEY is missing")?;
    let system_key = secrets.system_key.clone().context("SYSTEM_API_KEY is missing")?;
    let networks = settings.edge.trusted_proxies.iter().map(|(address, bits)| format!("{address}/{bits}").parse());
    let threads = std::thread::available_parallelism().map_or(2, NonZero::get);
    Ok(::gateway::Settings {
        tiers: settings.tiers.clone(),
        unauthenticated_per_minute: settings.edge.unauthenticated_per_minute,
        trusted_proxies: networks.collect::<Result<_, _>>().context("TRUSTED_PROXIES")?,
        cors_allowed_origins: settings.edge.cors_origins.clone(),
        backlog_max_account: settings.edge.backlog_account,
        backlog_max_total: settings.edge.backlog_total,
        scaling_min: settings.scaling.policy.min,
        scaling_max: settings.scaling.policy.max,
        callbacks: secrets.internal.as_ref().and_then(domain::callback::Callbacks::new),
        http_workers: threads.clamp(2, HTTP_THREADS_MOST),
        drain_at_most: settings.worker.drain.min(Duration::from_secs(10)),
        ..::gateway::Settings::new(pepper, admin_key, system_key)
    })
}
