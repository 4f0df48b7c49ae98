//! Everything in one process: stores, simulator or upstream, pool, worker and gateway, started in that order and ended in the other.

use crate::autoscaler::adviser;
use crate::compose::{self, OwnPool, Stores};
use crate::gateway::{apart, gateway_settings, mounted};
use crate::worker::one_worker;
use crate::{healthcheck, migrate};
use anyhow::Context;
use bootstrap::{Settings, listener, ops};
use domain::ports::{Backends, TokenAdmin, TokenLeases};
use prometheus::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const READY_WITHIN: Duration = Duration::from_secs(15);

/// What a story is told once everything answers.
pub struct Ready {
    pub settings: Arc<Settings>,
    pub backends: Backends,
    /// The gateway's address, as this machine reaches it.
    pub url: String,
}

/// Runs everything until `shutdown`, and `story` beside it as soon as the gateway is ready. A story that ends ends everything; one that
/// only wants to have spoken waits for the shutdown itself.
///
/// # Errors
/// A part that cannot start or fails, or the story's own.
pub async fn all_in_one<S>(settings: Settings, shutdown: CancellationToken, story: S) -> anyhow::Result<()>
where
    S: AsyncFnOnce(Ready, CancellationToken) -> anyhow::Result<()>,
{
    let settings = Arc::new(settings);
    let listener = listener::bind("PORT", settings.listen.host, settings.listen.port)?;
    let ops_listener = match settings.listen.ops_port {
        Some(port) => Some(listener::bind("OPS_PORT", settings.listen.host, port)?),
        None => None,
    };
    let url = listener::local_url(&listener)?;
    if let Some(database) = &settings.database {
        migrate::bring_up_to_date(&database.url).await?;
    }
    let stores = compose::stores(&settings).await?;
    let parts = start(&settings, &stores, &shutdown).await;
    let parts = match parts {
        Ok(parts) => parts,
        Err(error) => {
            stores.close().await;
            return Err(error);
        }
    };
    let Parts { gateway, worker, own, adviser, simulator, ops } = parts;
    let last = CancellationToken::new();
    let ready = Ready { settings: settings.clone(), backends: stores.backends.clone(), url: url.clone() };
    let gateway =
        ::gateway::Gateway { ops: mounted(&ops, ops_listener.is_some()), apart: apart(&ops, ops_listener), ..gateway };

    let services = async {
        // The simulator outlives those that need it.
        let _ends = last.clone().drop_guard();
        let gateway = ending(&shutdown, ::gateway::run(gateway, listener, shutdown.clone()));
        let worker = async {
            let worked = ::worker::run(worker, shutdown.clone()).await;
            if worked.is_err() {
                shutdown.cancel();
            }
            worked
        };
        let advised = async {
            match adviser {
                Some(adviser) => ::autoscaler::run(adviser, shutdown.clone()).await,
                None => Ok(()),
            }
        };
        let story = ending(&shutdown, async {
            let told = async {
                healthcheck::until_ready(&url, READY_WITHIN).await?;
                story(ready, shutdown.clone()).await
            };
            // A process that is told to stop before it was ready has no story.
            shutdown.run_until_cancelled(told).await.unwrap_or(Ok(()))
        });
        let (served, worked, advised, told) =
            tokio::join!(Box::pin(gateway), Box::pin(worker), Box::pin(advised), Box::pin(story));
        if let Some(own) = own {
            own.stop().await;
        }
        served?;
        worked?;
        advised?;
        told
    };
    let simulated = async {
        match simulator {
            Some(simulator) => ending(&shutdown, simulator.serve(last.clone())).await,
            None => Ok(()),
        }
    };
    let (done, simulated) = tokio::join!(Box::pin(services), Box::pin(simulated));
    stores.close().await;
    done.and(simulated)
}

/// Whatever it ends as, everything else is told to end too.
async fn ending<T>(shutdown: &CancellationToken, part: impl Future<Output = T>) -> T {
    let _ends = shutdown.clone().drop_guard();
    part.await
}

struct Parts {
    gateway: ::gateway::Gateway,
    worker: ::worker::Worker,
    own: Option<OwnPool>,
    /// Where this process is all there is. Beside others on a shared ledger it would lead in the place of an autoscaler that applies.
    adviser: Option<::autoscaler::Autoscaler>,
    simulator: Option<compose::Bundled>,
    ops: ops::Ops,
}

async fn start(settings: &Settings, stores: &Stores, shutdown: &CancellationToken) -> anyhow::Result<Parts> {
    let registries = [ops::registry()?, Registry::new(), Registry::new(), Registry::new(), Registry::new()];
    let [_, of_gateway, of_worker, of_pool, of_adviser] = registries.clone();
    let simulator = match settings.upstream.url {
        Some(_) => None,
        None => Some(compose::bundled_simulator(settings)?),
    };
    let url = settings.upstream.url.as_deref().or(simulator.as_ref().map(|simulator| simulator.url.as_str()));
    let upstream = compose::upstream(settings, url.context("SUNO_API_URL is missing")?)?;
    let mut probes = stores.backends.probes.clone();
    let (leases, admin, own): (Arc<dyn TokenLeases>, Arc<dyn TokenAdmin>, _) = match compose::remote_pool(settings)? {
        Some(remote) => {
            probes.push(remote.probe(true));
            (remote.clone(), remote, None)
        }
        None => {
            let own =
                compose::own_pool(settings, &stores.backends, Some(upstream.clone()), &of_pool, String::new()).await?;
            (own.pool.clone(), own.pool.clone(), Some(own))
        }
    };
    if let Some(simulator) = &simulator {
        simulator.provision(admin.as_ref()).await?;
    }
    let ops = compose::ops(registries.to_vec(), probes, shutdown);
    let gateway = ::gateway::Gateway {
        settings: gateway_settings(settings)?,
        backends: stores.backends.clone(),
        token_admin: admin,
        ops: mounted(&ops, false),
        apart: None,
        registry: of_gateway,
    };
    let worker = one_worker(settings, stores.backends.clone(), leases, upstream, of_worker);
    let adviser = settings.is_embedded().then(|| adviser(settings, &stores.backends, of_adviser));
    Ok(Parts { gateway, worker, own, adviser, simulator, ops })
}
