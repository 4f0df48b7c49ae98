//! `son1k-worker`, and `son1k up` with `WORKER_ONLY`: a worker alone, against shared stores.

use crate::compose::{self, OwnPool};
use crate::launch::say;
use anyhow::Context;
use bootstrap::cpu::CpuMeter;
use bootstrap::{Settings, listener, ops};
use domain::callback::Callbacks;
use domain::ports::{Backends, TokenLeases, Upstream};
use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Runs a worker until it is told to stop, or drained by an operator.
///
/// # Errors
/// A port, a store, the upstream or a secret that cannot be used.
pub async fn worker(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let ops_listener = compose::ops_listener(&settings)?;
    let url = settings.upstream.url.as_deref().context("SUNO_API_URL is missing")?;
    let upstream = compose::upstream(&settings, url)?;
    let remote = compose::remote_pool(&settings)?;
    let stores = compose::stores(&settings).await?;
    let (registry, of_pool) = (Registry::new(), Registry::new());
    let mut probes = stores.backends.probes.clone();
    let (leases, own): (Arc<dyn TokenLeases>, Option<OwnPool>) = match remote {
        Some(remote) => {
            probes.push(remote.probe(true));
            (remote, None)
        }
        None => {
            tracing::warn!(
                "TOKEN_POOL_URL is not set: this worker keeps the pool, and others on the same database get no tokens"
            );
            let own =
                compose::own_pool(&settings, &stores.backends, Some(upstream.clone()), &of_pool, String::new()).await?;
            (own.pool.clone(), Some(own))
        }
    };
    let ops = compose::ops(vec![ops::registry()?, registry.clone(), of_pool], probes, &shutdown);
    let worker = one_worker(&settings, stores.backends.clone(), leases, upstream, registry);
    say(&format!("ready {}", listener::local_url(&ops_listener)?));
    let until = CancellationToken::new();
    let asked = ops::serve(ops, ops_listener, until.clone());
    let worked = async {
        let _ends = until.clone().drop_guard();
        ::worker::run(worker, shutdown).await
    };
    let (worked, asked) = tokio::join!(Box::pin(worked), Box::pin(asked));
    if let Some(own) = own {
        own.stop().await;
    }
    stores.close().await;
    worked?;
    asked.context("OPS_PORT")
}

/// One replica, as the settings say.
pub(crate) fn one_worker(
    settings: &Settings,
    backends: Backends,
    leases: Arc<dyn TokenLeases>,
    upstream: Arc<dyn Upstream>,
    registry: Registry,
) -> ::worker::Worker {
    let of_worker = &settings.worker;
    let callbacks = settings.secrets.internal.as_ref().and_then(Callbacks::new);
    let called_back_at = settings.listen.public_url.clone().zip(callbacks);
    let settings = ::worker::Settings {
        concurrency: of_worker.slots,
        starts_per_second: of_worker.starts_per_second,
        poll_first: of_worker.poll_longest.min(Duration::from_millis(250)),
        poll_longest: of_worker.poll_longest,
        lease: of_worker.lease,
        drain: of_worker.drain,
        completed_jobs_max: settings.keeping.completed,
        failed_jobs_max: settings.keeping.failed,
        result_retention: settings.keeping.results,
        called_back_at: called_back_at.map(|(public_url, callbacks)| ::worker::CalledBackAt { public_url, callbacks }),
        ..::worker::Settings::new(compose::process_name(), env!("CARGO_PKG_VERSION"))
    };
    let cpu = CpuMeter::new();
    ::worker::Worker { settings, backends, leases, upstream, cpu: Arc::new(move || cpu.share()), registry }
}
