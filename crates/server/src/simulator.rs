//! `son1k-simulator`: the bundled upstream as a process of its own.

use crate::compose;
use crate::launch::say;
use bootstrap::{Settings, listener};
use tokio_util::sync::CancellationToken;

/// Serves on `PORT` until it is told to stop. It takes any token that is not empty.
///
/// # Errors
/// A port that cannot be had.
pub async fn simulator(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = listener::bind("PORT", settings.listen.host, settings.listen.port)?;
    let url = listener::local_url(&listener)?;
    let named = settings.simulator.public_url.clone().or_else(|| settings.listen.public_url.clone());
    let script = compose::simulator_script(&settings);
    let simulator =
        ::simulator::Settings { script, ..::simulator::Settings::new(named.unwrap_or_else(|| url.clone())) };
    say(&format!("ready {url}"));
    Ok(::simulator::run(simulator, listener, shutdown).await?)
}
