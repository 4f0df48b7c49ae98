//! `son1k-autoscaler`: decides how many workers there should be, one replica of one or more; and the same within an all-in-one process, where it
//! only advises.

use crate::compose;
use crate::launch::say;
use ::autoscaler::{
    Advise, Autoscaler, Controller, ControllerProbe, Docker, DockerSettings, EngineHost, Railway, RailwaySettings,
};
use anyhow::Context;
use bootstrap::settings;
use bootstrap::{Settings, listener, ops};
use domain::ids::WorkerId;
use domain::ports::Backends;
use prometheus::Registry;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs a replica of the autoscaler until it is told to stop.
///
/// # Errors
/// A port, the ledger or a controller's setting that cannot be used.
pub async fn autoscaler(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let ops_listener = compose::ops_listener(&settings)?;
    let controller = controller(&settings)?;
    let stores = compose::stores(&settings).await?;
    let registry = Registry::new();
    let own = one_autoscaler(&settings, &stores.backends, controller, registry.clone());
    let mut probes = stores.backends.probes.clone();
    probes.push(own.probe.clone());
    let ops = compose::ops(vec![ops::registry()?, registry], probes, &shutdown);
    say(&format!("ready {}", listener::local_url(&ops_listener)?));
    let until = CancellationToken::new();
    let asked = ops::serve(ops, ops_listener, until.clone());
    let scaled = async {
        let _ends = until.clone().drop_guard();
        ::autoscaler::run(own, shutdown).await
    };
    let (scaled, asked) = tokio::join!(Box::pin(scaled), Box::pin(asked));
    stores.close().await;
    scaled?;
    asked.context("OPS_PORT")
}

/// One that applies nothing, for a process that is all there is.
pub(crate) fn adviser(settings: &Settings, backends: &Backends, registry: Registry) -> Autoscaler {
    one_autoscaler(settings, backends, Arc::new(Advise), registry)
}

fn one_autoscaler(
    settings: &Settings,
    backends: &Backends,
    controller: Arc<dyn Controller>,
    registry: Registry,
) -> Autoscaler {
    let replica = WorkerId::new(backends.clock.now(), rand::random());
    Autoscaler {
        settings: ::autoscaler::Settings {
            policy: settings.scaling.policy.clone(),
            interval: settings.scaling.interval,
            ..::autoscaler::Settings::new(replica)
        },
        scaling: backends.scaling.clone(),
        controller,
        probe: Arc::new(ControllerProbe::default()),
        registry,
    }
}

fn controller(settings: &Settings) -> anyhow::Result<Arc<dyn Controller>> {
    let service = settings.scaling.worker_service.clone();
    Ok(match &settings.scaling.controller {
        settings::Controller::Advise => Arc::new(Advise),
        settings::Controller::Railway(railway) => {
            let railway = RailwaySettings {
                api_url: railway.api_url.clone(),
                token: railway.token.clone().context("RAILWAY_TOKEN is missing")?,
                environment_id: railway.environment_id.clone(),
                service_id: railway.worker_service_id.clone(),
                service_name: service,
            };
            Arc::new(Railway::new(railway).context("RAILWAY_TOKEN or RAILWAY_API_URL")?)
        }
        settings::Controller::Docker(docker) => {
            let host = match &docker.host {
                settings::EngineHost::Socket(path) => EngineHost::Socket(path.clone()),
                settings::EngineHost::Address(url) => EngineHost::Address(url.clone()),
            };
            let project = docker.project.clone();
            let hostname = compose::machine_name();
            Arc::new(Docker::new(DockerSettings { host, project, service, hostname }).context("DOCKER_HOST")?)
        }
    })
}
