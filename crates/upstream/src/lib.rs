//! The upstream port over HTTP, one adapter a dialect; and the operator's provisioner of tokens, spoken to in the same way.
//!
//! Every call has a connect, a first-byte and a total deadline; bodies are capped, redirects refused, and a connection whose answer was
//! not read to its end is never used again (HTTP/1.1 closes it, so a late answer can never be taken for the next one's). Whatever the
//! upstream sends becomes an [`UpstreamError`](domain::ports::upstream::UpstreamError), never a panic, and no message repeats a body.
//!
//! What it does not do: it never retries, never waits before a call, and never looks at the environment (proxies included). When to call
//! and what follows from an answer is the worker's business.

mod body;
mod http;
mod provisioner;
mod retry_after;
mod suno;
mod sunoapi;

pub use provisioner::provisioner;

use domain::ports::Upstream;
use reqwest::Url;
use std::sync::Arc;
use std::time::Duration;

/// How the upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `POST /generate`, `GET /status/{id}`, `POST /cancel/{id}`, `GET /me`: what the simulator speaks too.
    #[default]
    Suno,
    /// `POST /api/v1/generate`, `GET /api/v1/generate/record-info`: two tracks a task, no cancel.
    SunoApi,
}

impl Dialect {
    pub const ALL: [Self; 2] = [Self::Suno, Self::SunoApi];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Suno => "suno",
            Self::SunoApi => "sunoapi",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name().eq_ignore_ascii_case(name))
    }
}

/// Deadlines of one call, each from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Until the answer's headers are here.
    pub first_byte: Duration,
    /// Until its last byte is.
    pub total: Duration,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub dialect: Dialect,
    /// `http` or `https`, with a path where the upstream has one; without credentials, query or fragment.
    pub base_url: String,
    /// For name, TCP and TLS together; part of the two below.
    pub connect: Duration,
    pub submit: Deadlines,
    pub poll: Deadlines,
    /// Cancels and token checks.
    pub other: Deadlines,
    /// The largest body that is read, in bytes.
    pub body_most: usize,
}

impl Settings {
    /// The usual deadlines: connect 3 s; submit 30 s in all, everything else 10 s; bodies up to 1 MiB.
    pub fn new(dialect: Dialect, base_url: impl Into<String>) -> Self {
        let short = Deadlines { first_byte: Duration::from_secs(8), total: Duration::from_secs(10) };
        Self {
            dialect,
            base_url: base_url.into(),
            connect: Duration::from_secs(3),
            submit: Deadlines { first_byte: Duration::from_secs(25), total: Duration::from_secs(30) },
            poll: short,
            other: short,
            body_most: 1024 * 1024,
        }
    }
}

/// Why no client could be made of the settings. The address itself is not repeated: it may carry a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("the upstream's base address must be an absolute http or https URL")]
    NotHttp,
    #[error("the upstream's base address must not carry credentials, a query or a fragment")]
    Extras,
    #[error("the upstream's deadlines and its body limit must be above zero")]
    Zero,
    #[error("no HTTP client could be made: {0}")]
    Client(String),
}

fn base(text: &str) -> Result<Url, SettingsError> {
    let mut url = Url::parse(text.trim()).map_err(|_| SettingsError::NotHttp)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(SettingsError::NotHttp);
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(SettingsError::Extras);
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// A client for the upstream. Makes no call: an upstream that is down is found out by calling it.
#[expect(clippy::needless_pass_by_value, reason = "the caller hands its settings over: nothing else needs them")]
pub fn connect(settings: Settings) -> Result<Arc<dyn Upstream>, SettingsError> {
    let base = base(&settings.base_url)?;
    let deadlines = [settings.submit, settings.poll, settings.other];
    if deadlines.iter().any(|d| d.first_byte.is_zero() || d.total.is_zero())
        || settings.connect.is_zero()
        || settings.body_most == 0
    {
        return Err(SettingsError::Zero);
    }
    let http = http::Http::new(base, settings.connect, settings.body_most)?;
    Ok(match settings.dialect {
        Dialect::Suno => Arc::new(suno::Suno::new(http, &settings)),
        Dialect::SunoApi => Arc::new(sunoapi::SunoApi::new(http, &settings)),
    })
}
