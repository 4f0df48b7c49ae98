//! `son1k-token-pool`: the pool over gRPC, one replica of two or more.

use crate::compose;
use crate::launch::say;
use ::token_pool::Access;
use anyhow::Context;
use bootstrap::{Settings, listener, ops};
use prometheus::Registry;
use std::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Runs a replica of the pool until it is told to stop.
///
/// # Errors
/// A port, the ledger or a secret that cannot be used.
pub async fn token_pool(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = listener::bind("GRPC_PORT", settings.listen.host, settings.listen.grpc_port)?;
    let ops_listener = compose::ops_listener(&settings)?;
    let address = advertised(&settings, &listener)?;
    let secret = settings.secrets.internal.clone().context("INTERNAL_AUTH_SECRET is missing")?;
    let access = Access { secret, tls: compose::pool_tls(&settings)? };
    let upstream = match &settings.upstream.url {
        Some(url) => Some(compose::upstream(&settings, url)?),
        None => None,
    };
    let stores = compose::stores(&settings).await?;
    let registry = Registry::new();
    let own = compose::own_pool(&settings, &stores.backends, upstream, &registry, address).await?;
    let ops = compose::ops(vec![ops::registry()?, registry], stores.backends.probes.clone(), &shutdown);
    say(&format!("ready {}", local_url(&settings, &listener)?));
    let until = CancellationToken::new();
    let asked = ops::serve(ops, ops_listener, until.clone());
    // Reflection tells the protocol to whoever asks: only where nobody from elsewhere can.
    let local = listener.local_addr()?.ip().is_loopback();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let served = async {
        let _ends = until.clone().drop_guard();
        ::token_pool::serve(own.pool.clone(), listener, access, local, shutdown).await
    };
    let (served, asked) = tokio::join!(Box::pin(served), Box::pin(asked));
    own.stop().await;
    stores.close().await;
    served?;
    asked.context("OPS_PORT")
}

/// How other processes reach this replica.
fn advertised(settings: &Settings, listener: &TcpListener) -> anyhow::Result<String> {
    if let Some(url) = &settings.pool.advertise_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    match settings.listen.host {
        Some(host) if !host.is_unspecified() => local_url(settings, listener),
        _ => Ok(format!("{}://{}:{}", scheme(settings), compose::machine_name(), listener.local_addr()?.port())),
    }
}

fn local_url(settings: &Settings, listener: &TcpListener) -> anyhow::Result<String> {
    Ok(listener::local_url(listener)?.replacen("http", scheme(settings), 1))
}

const fn scheme(settings: &Settings) -> &'static str {
    if settings.pool.tls.is_some() { "https" } else { "http" }
}
