//! The upstream: the one at `SUNO_API_URL`, or the bundled simulator with tokens of its own.

use anyhow::Context;
use bootstrap::settings::Dialect;
use bootstrap::{Settings, listener};
use domain::ports::{TokenAdmin, Upstream};
use domain::token::TokenImport;
use simulator::{RenderSeconds, Script};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;

/// Where the simulator of a data folder was last: songs that were made then are still asked for there.
const PORT_FILE: &str = "simulator.port";

/// A client for the upstream at `url`.
///
/// # Errors
/// An address that cannot be used.
pub fn upstream(settings: &Settings, url: &str) -> anyhow::Result<Arc<dyn Upstream>> {
    let dialect = match settings.upstream.dialect {
        Dialect::Suno => upstream::Dialect::Suno,
        Dialect::SunoApi => upstream::Dialect::SunoApi,
    };
    upstream::connect(upstream::Settings::new(dialect, url)).context("SUNO_API_URL")
}

/// How a simulator behaves until it is told otherwise.
pub fn simulator_script(settings: &Settings) -> Script {
    let simulator = &settings.simulator;
    Script {
        render_seconds: RenderSeconds {
            min: simulator.render_min.as_secs_f64(),
            max: simulator.render_max.as_secs_f64(),
        },
        latency_ms: u64::try_from(simulator.latency.as_millis()).unwrap_or(u64::MAX),
        fail: Vec::new(),
        token_concurrency: None,
    }
}

/// The simulator of an all-in-one process, before it serves.
pub struct Bundled {
    /// Where it is called.
    pub url: String,
    settings: simulator::Settings,
    listener: TcpListener,
    tokens: u32,
    concurrency: u32,
}

/// Listens for the bundled simulator.
///
/// # Errors
/// A port that was asked for and is taken.
pub fn bundled_simulator(settings: &Settings) -> anyhow::Result<Bundled> {
    let listener = match settings.simulator.port {
        Some(port) => listener::bind("SIMULATOR_PORT", settings.listen.host, port)?,
        None => kept_port(&settings.data_dir)?,
    };
    let url = listener::local_url(&listener)?;
    let public_url = settings.simulator.public_url.clone().unwrap_or_else(|| url.clone());
    let script = simulator_script(settings);
    Ok(Bundled {
        settings: simulator::Settings { script, ..simulator::Settings::new(public_url) },
        url,
        listener,
        tokens: settings.pool.min,
        concurrency: settings.simulator.token_concurrency,
    })
}

/// The loopback port of the last time where it is free, else a free one that is kept for the next.
fn kept_port(data_dir: &Path) -> anyhow::Result<TcpListener> {
    let loopback = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let file = data_dir.join(PORT_FILE);
    let last = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<u16>().ok());
    if let Some(listener) = last.and_then(|port| listener::bind("SIMULATOR_PORT", loopback, port).ok()) {
        return Ok(listener);
    }
    let listener = listener::bind("SIMULATOR_PORT", loopback, 0)?;
    let port = listener.local_addr()?.port();
    // Without it songs of before the next start are not found: no reason not to start.
    if let Err(error) = fs::write(&file, format!("{port}\n")) {
        tracing::warn!(%error, "the simulator's port is not kept");
    }
    Ok(listener)
}

impl Bundled {
    /// Imports the simulator's own tokens. Those that the pool has already are left as they are.
    ///
    /// # Errors
    /// When the pool cannot be reached.
    pub async fn provision(&self, pool: &dyn TokenAdmin) -> anyhow::Result<()> {
        let token = |number| TokenImport {
            secret: simulator::token(number).into(),
            label: Some(format!("simulator {number}")),
            max_concurrency: Some(self.concurrency),
            requests_per_minute: None,
            expires_at: None,
        };
        pool.import((1..=self.tokens).map(token).collect()).await.context("the simulator's tokens")?;
        Ok(())
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, shutdown: tokio_util::sync::CancellationToken) -> anyhow::Result<()> {
        simulator::run(self.settings, self.listener, shutdown).await.context("the simulator")
    }
}
