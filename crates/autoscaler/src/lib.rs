//! The autoscaler: reads the load from the ledger, asks the domain's policy how many workers there should be, and applies the answer.
//!
//! Of several replicas one leads, by a leased row with an epoch; the decision and its reasons stand in the same row, for the gateways to show
//! and for the next leader to go on with. It may only ever touch the workers' service, and what it cannot read or apply it leaves as it is. In
//! reading order: `round` (one evaluation), `controller` (what a platform must offer), `railway`, `docker`.

mod controller;
mod docker;
mod http;
mod lead;
mod metrics;
mod probe;
mod railway;
mod round;

pub use controller::{Advise, ControlError, Controller, StillLeads};
pub use docker::{Docker, DockerSettings, EngineHost};
pub use probe::ControllerProbe;
pub use railway::{Railway, RailwaySettings};

use domain::ids::WorkerId;
use domain::ports::Scaling;
use domain::scaling::Policy;
use lead::Lead;
use metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone)]
pub struct Settings {
    /// This replica, anew at each start.
    pub replica: WorkerId,
    pub policy: Policy,
    /// Between two evaluations; a leader's lease is four of them, a minute at least.
    pub interval: Duration,
}

impl Settings {
    pub fn new(replica: WorkerId) -> Self {
        Self { replica, policy: Policy::default(), interval: Duration::from_secs(15) }
    }

    fn lease(&self) -> Duration {
        (self.interval * 4).max(Duration::from_secs(60))
    }
}

/// One replica, and the world that it watches.
pub struct Autoscaler {
    pub settings: Settings,
    pub scaling: Arc<dyn Scaling>,
    pub controller: Arc<dyn Controller>,
    /// Told of the controller's last answer.
    pub probe: Arc<ControllerProbe>,
    pub registry: prometheus::Registry,
}

/// Evaluates at every interval until `shutdown`, and gives up the leadership at the end.
///
/// # Errors
/// When a metric's name is taken: one autoscaler a registry.
pub async fn run(autoscaler: Autoscaler, shutdown: CancellationToken) -> Result<(), prometheus::Error> {
    let Autoscaler { settings, scaling, controller, probe, registry } = autoscaler;
    let metrics = Metrics::new(&registry, controller.name())?;
    let lead = Lead::new(settings.replica, settings.lease());
    let scaler = round::Scaler { settings, scaling, controller, probe, metrics, lead };
    loop {
        // What is under way is dropped by a shutdown: every step leaves a state that the next evaluation understands.
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = async {
                Box::pin(scaler.round()).await;
                tokio::time::sleep(scaler.pause()).await;
            } => {}
        }
    }
    scaler.resign().await;
    Ok(())
}
