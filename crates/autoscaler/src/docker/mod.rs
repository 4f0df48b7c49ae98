//! The Docker Engine: the containers of one service of one compose project, told by their labels.
//!
//! One more is made from the newest that runs, as compose would make it, so that compose knows it as its own; the newest goes first, with the
//! time to stop that it was given. No other container is ever looked into but this process's own, to learn its project.

mod container;
mod engine;
mod template;

pub use engine::EngineHost;

use crate::controller::{ControlError, Controller, StillLeads};
use async_trait::async_trait;
use container::{Container, State};
use engine::Engine;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a worker is given to end in where its container names nothing: it drains within 20 s.
const STOP_SECONDS: u64 = 30;
const STOP_LONGEST: u64 = 120;

#[derive(Debug, Clone)]
pub struct DockerSettings {
    pub host: EngineHost,
    /// `None`: the project of the container named by `hostname`.
    pub project: Option<String>,
    pub service: String,
    /// This machine's name, which in a container is the container's id.
    pub hostname: String,
}

pub struct Docker {
    engine: Engine,
    service: String,
    hostname: String,
    /// Once it is known.
    project: Mutex<Option<String>>,
}

impl Docker {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(settings: DockerSettings) -> Result<Self, ControlError> {
        let DockerSettings { host, project, service, hostname } = settings;
        Ok(Self { engine: Engine::new(&host)?, service, hostname, project: Mutex::new(project) })
    }

    async fn project(&self) -> Result<String, ControlError> {
        let known = self.project.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(project) = known {
            return Ok(project);
        }
        let unknown = || {
            ControlError::NotTheWorkers(
                "DOCKER_PROJECT is not set, and this process is in no container of a project".to_owned(),
            )
        };
        let own = self.engine.inspect(&self.hostname).await?.ok_or_else(unknown)?;
        let project = own["Config"]["Labels"][container::PROJECT].as_str().ok_or_else(unknown)?.to_owned();
        *self.project.lock().unwrap_or_else(PoisonError::into_inner) = Some(project.clone());
        Ok(project)
    }

    /// The workers' containers, whatever their state, by their number.
    async fn workers(&self) -> Result<Vec<Container>, ControlError> {
        let project = self.project().await?;
        let listed = self.engine.list(&container::labels(&project, &self.service)).await?;
        let mut workers =
            listed.into_iter().filter(|container| container.is_of(&project, &self.service)).collect::<Vec<_>>();
        workers.sort_by_key(Container::number);
        Ok(workers)
    }

    /// Starts one that is there and stopped, else makes one. Those that were made and never ran are made anew.
    async fn add(&self, workers: &[Container], leads: StillLeads<'_>) -> Result<(), ControlError> {
        if let Some(stopped) = workers.iter().find(|container| container.state() == State::Stopped) {
            still(leads)?;
            return self.engine.start(&stopped.id).await;
        }
        let none =
            || ControlError::NotTheWorkers(format!("no container of {} runs, to make another like it", self.service));
        let model = workers.iter().rfind(|container| container.state() == State::Running).ok_or_else(none)?;
        let inspected = self.engine.inspect(&model.id).await?.ok_or_else(none)?;
        let (halves, whole): (Vec<_>, Vec<_>) = workers.iter().partition(|container| container.state() == State::Made);
        let number = (1..).find(|number| whole.iter().all(|container| container.number() != *number)).unwrap_or(1);
        let project = self.project().await?;
        let made = template::another(&inspected, &project, &self.service, number)?;
        for half in halves {
            still(leads)?;
            self.engine.remove(&half.id).await?;
        }
        still(leads)?;
        let id = self.engine.create(&made.name, &made.body).await?;
        let started = async {
            for (network, endpoint) in &made.further_networks {
                let connected = json!({"Container": id, "EndpointConfig": endpoint});
                self.engine.connect(network, &connected).await?;
            }
            still(leads)?;
            self.engine.start(&id).await
        };
        if let Err(error) = started.await {
            // Half a worker helps nobody. Whether it goes or not, the next evaluation sees what is there.
            drop(self.engine.remove(&id).await);
            return Err(error);
        }
        tracing::info!(container = made.name, "started a worker");
        Ok(())
    }

    async fn let_go(&self, worker: &Container, leads: StillLeads<'_>) -> Result<(), ControlError> {
        let Some(inspected) = self.engine.inspect(&worker.id).await? else { return Ok(()) };
        let given = inspected["Config"]["StopTimeout"].as_u64().unwrap_or(STOP_SECONDS).min(STOP_LONGEST);
        still(leads)?;
        self.engine.stop(&worker.id, Duration::from_secs(given)).await?;
        self.engine.remove(&worker.id).await?;
        tracing::info!(container = worker.name(), "let a worker go");
        Ok(())
    }
}

#[async_trait]
impl Controller for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn current(&self) -> Result<Option<u32>, ControlError> {
        let running = running(&self.workers().await?);
        Ok(Some(u32::try_from(running).unwrap_or(u32::MAX)))
    }

    async fn scale(&self, to: u32, leads: StillLeads<'_>) -> Result<(), ControlError> {
        let to = usize::try_from(to).unwrap_or(usize::MAX);
        // Each step looks anew, so that it never goes further than asked, whatever others do.
        let mut steps = running(&self.workers().await?).abs_diff(to);
        loop {
            let workers = self.workers().await?;
            let now = running(&workers);
            if now == to || steps == 0 {
                return Ok(());
            }
            steps -= 1;
            if now < to {
                self.add(&workers, leads).await?;
            } else if let Some(newest) = workers.iter().rfind(|container| container.state() == State::Running) {
                self.let_go(newest, leads).await?;
            }
        }
    }
}

/// Asked right before each change: the reads before it may have taken long.
fn still(leads: StillLeads<'_>) -> Result<(), ControlError> {
    if leads() { Ok(()) } else { Err(ControlError::NotLeading) }
}

fn running(workers: &[Container]) -> usize {
    workers.iter().filter(|container| container.state() == State::Running).count()
}

/// What a call that changes something may be answered.
fn done(status: StatusCode, body: &[u8], also: &[StatusCode]) -> Result<(), ControlError> {
    if status.is_success() || also.contains(&status) {
        return Ok(());
    }
    let said = serde_json::from_slice::<Value>(body).ok();
    let message = said.as_ref().and_then(|said| said["message"].as_str()).unwrap_or_default();
    let told = format!("{} {}", status.as_u16(), crate::http::quoted(message));
    Err(if status.is_server_error() { ControlError::Unavailable(told) } else { ControlError::Refused(told) })
}
