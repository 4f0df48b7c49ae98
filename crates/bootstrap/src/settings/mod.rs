//! Settings: read once at the start, typed and bounded, or the process stops with one line that says what is wrong.
//!
//! `config/default.toml` is the manual: every setting with its meaning. Nothing here connects to anything.

mod error;
mod fields;
mod layers;
mod made;
mod parse;
mod roles;
mod scaling;
mod show;

pub use error::SettingError;
pub use layers::Sources;
pub use made::Readers;
pub use roles::Role;
pub use scaling::{Controller, Docker, EngineHost, Railway, Scaling};

use domain::api_key::ApiKey;
use domain::tier::Tiers;
use secrecy::SecretString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that is configured. A secret that a role does not use is not asked for.
#[derive(Debug, Clone)]
pub struct Settings {
    pub role: Role,
    pub listen: Listen,
    pub database: Option<Database>,
    pub rabbitmq_url: Option<SecretString>,
    pub redis: Option<Redis>,
    pub data_dir: PathBuf,
    pub upstream: Upstream,
    pub worker: Worker,
    pub pool: Pool,
    pub keeping: Keeping,
    pub scaling: Scaling,
    pub edge: Edge,
    pub secrets: Secrets,
    pub telemetry: Telemetry,
    pub simulator: Simulator,
    pub tiers: Tiers,
    /// `None`: not set; see [`Settings::operators_url`].
    pub admin_url: Option<String>,
    makes_secrets: bool,
    shown: String,
}

#[derive(Debug, Clone)]
pub struct Listen {
    /// `None`: every address, IPv6 too where it is there.
    pub host: Option<IpAddr>,
    /// 0 takes a free one.
    pub port: u16,
    pub ops_port: Option<u16>,
    pub grpc_port: u16,
    pub public_url: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Database {
    pub url: SecretString,
    pub pool_min: u32,
    pub pool_max: u32,
}

#[derive(Debug, Clone)]
pub struct Redis {
    pub url: SecretString,
    pub max_retries: u32,
    pub connect_timeout: Duration,
    pub answer_timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct Upstream {
    /// `None`: the bundled simulator.
    pub url: Option<String>,
    pub dialect: Dialect,
    pub bundled_simulator: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Suno,
    SunoApi,
}

#[derive(Debug, Clone)]
pub struct Worker {
    /// The all-in-one executable runs the worker alone.
    pub only: bool,
    pub slots: u32,
    pub starts_per_second: u32,
    /// Between two looks at a render.
    pub poll_longest: Duration,
    pub lease: Duration,
    pub drain: Duration,
}

#[derive(Debug, Clone)]
pub struct Pool {
    /// Several replicas are separated by commas. `None`: within the process.
    pub url: Option<String>,
    pub min: u32,
    pub max: u32,
    pub token_concurrency: u32,
    pub rotation_interval: Duration,
    pub health_check_interval: Duration,
    /// A file or folder that lists tokens.
    pub source_path: Option<PathBuf>,
    /// Asked for tokens while too few are usable.
    pub provisioner_url: Option<String>,
    /// How other processes reach this replica; `None`: by what it listens on.
    pub advertise_url: Option<String>,
    /// `None`: the shared secret alone, over plain HTTP/2.
    pub tls: Option<PoolTls>,
}

/// PEM files; nothing has been read yet.
#[derive(Debug, Clone)]
pub struct PoolTls {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone)]
pub struct Keeping {
    pub completed: u32,
    pub failed: u32,
    pub results: Duration,
}

#[derive(Debug, Clone)]
pub struct Edge {
    pub backlog_account: u32,
    pub backlog_total: u64,
    pub unauthenticated_per_minute: u32,
    /// Networks as an address and the length of its prefix.
    pub trusted_proxies: Vec<(IpAddr, u8)>,
    pub cors_origins: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Secrets {
    pub admin_key: Option<ApiKey>,
    pub system_key: Option<ApiKey>,
    pub pepper: Option<SecretString>,
    /// `id:base64 of 32 bytes`, comma-separated; the form has been checked.
    pub token_keys: Option<SecretString>,
    pub internal: Option<SecretString>,
    /// What the provisioner of tokens is shown.
    pub provisioner: Option<SecretString>,
}

#[derive(Debug, Clone)]
pub struct Telemetry {
    pub otlp_endpoint: Option<String>,
    pub service: String,
    /// Of those that begin in this process.
    pub traces_per_second: u32,
    pub filter: String,
    /// `None`: by what standard error is.
    pub format: Option<LogFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone)]
pub struct Simulator {
    /// `None`: a free one, kept in the data folder.
    pub port: Option<u16>,
    pub public_url: Option<String>,
    pub render_min: Duration,
    pub render_max: Duration,
    pub latency: Duration,
    pub token_concurrency: u32,
}

impl Listen {
    /// How this machine's own programs reach `port`.
    pub fn local_url(&self, port: u16) -> String {
        let host = self.host.filter(|host| !host.is_unspecified()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        format!("http://{}", SocketAddr::new(host, port))
    }
}

impl Settings {
    /// Reads, lays and checks everything `role` uses. Secrets that may be made are made and kept, unless `look_only`.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(role: Role, sources: &Sources<'_>, look_only: bool) -> Result<Self, SettingError> {
        let mut values = layers::read(sources)?;
        // What is wrong is found before anything is made.
        let mut settings = parse::parse(role, &values)?;
        if look_only {
            return Ok(settings);
        }
        settings.check_stores()?;
        if settings.makes_secrets {
            for name in role.secrets(settings.worker.only) {
                if values.get(name).is_empty() {
                    values.set(name, made::make_or_read(&settings.data_dir, name)?);
                }
            }
            settings = parse::parse(role, &values)?;
        }
        settings.check_secrets()?;
        Ok(settings)
    }

    /// As [`Settings::load`] from this process's own environment, `son1k.toml` and `file`.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn from_process(role: Role, file: Option<&Path>, look_only: bool) -> Result<Self, SettingError> {
        let sources = Sources {
            file: file.map(Path::to_path_buf),
            environment: &|name| std::env::var_os(name),
            may_embed: role.may_embed(),
            local: role == Role::Demo,
        };
        Self::load(role, &sources, look_only)
    }

    /// The settings as a TOML text, secrets masked: what `--print-config` prints.
    pub fn show(&self) -> &str {
        &self.shown
    }

    /// Where the command line finds the operators' API and asks for health: `ADMIN_URL`, else this machine's `OPS_PORT`, else its `PORT`.
    pub fn operators_url(&self) -> String {
        let here = || self.listen.local_url(self.listen.ops_port.unwrap_or(self.listen.port));
        self.admin_url.clone().unwrap_or_else(here)
    }

    /// Nothing is configured: the embedded store is used.
    pub const fn is_embedded(&self) -> bool {
        self.database.is_none()
    }

    /// The folder of made secrets.
    pub fn secrets_dir(&self) -> PathBuf {
        made::folder(&self.data_dir)
    }
}

/// What is kept under `name` in the folder of made secrets.
///
/// # Errors
/// When the folder cannot be read.
pub fn kept_secret(data_dir: &Path, name: &str) -> Result<Option<String>, SettingError> {
    made::kept(data_dir, name)
}

/// Keeps `text` under `name` in the folder of made secrets, unless there is one already: answers the one that is kept.
///
/// # Errors
/// When the folder cannot be written or read.
pub fn keep_secret(data_dir: &Path, name: &str, text: &str) -> Result<String, SettingError> {
    made::keep(data_dir, name, text)
}

/// A new secret of the form that the setting `name` asks for.
pub fn fresh_secret(name: &str) -> String {
    made::fresh(name)
}

/// Keeps `text` as the file `name` of `folder`, unless there is one already: answers the one that is kept, without white space around it.
///
/// # Errors
/// When the folder cannot be made, written or read, or the file that is there is empty.
pub fn keep_file(folder: &Path, name: &str, text: &str, readers: Readers) -> std::io::Result<String> {
    made::keep_in(folder, name, text, readers)
}
