//! The autoscaler's settings: the policy, and what its controller needs. What a controller that is not chosen would need is not looked at.

use super::error::SettingError;
use super::layers::Values;
use super::parse::above;
use domain::scaling::Policy;
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Scaling {
    pub controller: Controller,
    pub policy: Policy,
    pub interval: Duration,
    /// The one service that may be touched.
    pub worker_service: String,
}

/// How a decision is applied.
#[derive(Debug, Clone)]
pub enum Controller {
    Advise,
    Railway(Railway),
    Docker(Docker),
}

#[derive(Debug, Clone)]
pub struct Railway {
    pub api_url: String,
    pub token: Option<SecretString>,
    /// Empty: not set.
    pub environment_id: String,
    /// Empty: not set.
    pub worker_service_id: String,
}

#[derive(Debug, Clone)]
pub struct Docker {
    pub host: EngineHost,
    /// `None`: that of the autoscaler's own container.
    pub project: Option<String>,
}

/// Where the engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineHost {
    Socket(PathBuf),
    /// `http://host:port`.
    Address(String),
}

pub(super) fn parse(values: &Values) -> Result<Scaling, SettingError> {
    let (min, max) = (values.whole("scaling.min", 1..=1000)?, values.whole("scaling.max", 1..=1000)?);
    if min > max {
        return Err(above("SCALING_MIN", min, "SCALING_MAX", max));
    }
    let up_cpu = values.whole::<u32>("scaling.up_cpu_percent", 1..=100)?;
    let down_cpu = values.whole::<u32>("scaling.down_cpu_percent", 0..=99)?;
    if down_cpu >= up_cpu {
        return Err(values.refused("scaling.down_cpu_percent", format!("less than SCALING_UP_CPU_PERCENT, {up_cpu}")));
    }
    let seconds = |path: &str, most: u64| values.whole(path, 0..=most).map(Duration::from_secs);
    let interval = values.millis("scaling.interval", 1_000..=60_000)?;
    let policy = Policy {
        min,
        max,
        up_cpu: f64::from(up_cpu) / 100.0,
        up_cpu_for: seconds("scaling.up_cpu_seconds", 3_600)?,
        up_waiting: values.whole("scaling.up_waiting", 0..=1_000_000_000)?,
        up_oldest: Duration::from_secs(values.whole("scaling.up_oldest_seconds", 1..=86_400)?),
        down_cpu: f64::from(down_cpu) / 100.0,
        down_cpu_for: seconds("scaling.down_cpu_seconds", 86_400)?,
        up_pause: seconds("scaling.up_pause_seconds", 3_600)?,
        down_pause: seconds("scaling.down_pause_seconds", 86_400)?,
        gap: (interval * 4).max(Policy::default().gap),
        ..Policy::default()
    };
    let controller = match values.choice(
        "scaling.controller",
        &[("advise", Kind::Advise), ("railway", Kind::Railway), ("docker", Kind::Docker)],
    )? {
        Kind::Advise => Controller::Advise,
        Kind::Railway => Controller::Railway(railway(values)?),
        Kind::Docker => Controller::Docker(docker(values)?),
    };
    let worker_service = name(values, "scaling.worker_service")?
        .ok_or_else(|| values.refused("scaling.worker_service", "the name of the workers' service"))?;
    Ok(Scaling { controller, policy, interval, worker_service })
}

#[derive(Clone, Copy)]
enum Kind {
    Advise,
    Railway,
    Docker,
}

fn railway(values: &Values) -> Result<Railway, SettingError> {
    let token = values.text("railway.token");
    if token.as_ref().is_some_and(|token| token.len() > 1024 || !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(values.refused("railway.token", "1 to 1024 visible ASCII characters"));
    }
    Ok(Railway {
        api_url: values
            .url("railway.api_url", &["https", "http"])?
            .ok_or_else(|| values.refused("railway.api_url", "a URL such as https://host/path"))?,
        token: token.map(SecretString::from),
        environment_id: name(values, "railway.environment_id")?.unwrap_or_default(),
        worker_service_id: name(values, "railway.worker_service_id")?.unwrap_or_default(),
    })
}

fn docker(values: &Values) -> Result<Docker, SettingError> {
    let refused = || values.refused("docker.host", "unix:///path of a socket, or tcp://host:port");
    let text = values.text("docker.host").ok_or_else(refused)?;
    let host = match text.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => EngineHost::Socket(PathBuf::from(path)),
        Some(_) => return Err(refused()),
        None => {
            let address = values.url("docker.host", &["tcp"]).ok().flatten().ok_or_else(refused)?;
            EngineHost::Address(address.replacen("tcp://", "http://", 1))
        }
    };
    Ok(Docker { host, project: name(values, "docker.project")? })
}

/// A name or an id of a platform's: letters, digits, `-`, `_` and `.`.
fn name(values: &Values, path: &str) -> Result<Option<String>, SettingError> {
    let Some(text) = values.text(path) else { return Ok(None) };
    let plain = text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if plain { Ok(Some(text)) } else { Err(values.refused(path, "letters, digits, - _ and ., 128 at most")) }
}
