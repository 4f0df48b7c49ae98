//! `son1k up`: everything in one process, with what a first try needs on the screen. `WORKER_ONLY` makes it a worker.

use crate::all_in_one::{Ready, all_in_one};
use crate::launch::say;
use crate::tier_keys::{TierKey, tier_keys};
use crate::worker;
use bootstrap::Settings;
use tokio_util::sync::CancellationToken;

/// Runs until it is told to stop.
///
/// # Errors
/// A part that cannot start or fails.
pub async fn up(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    if settings.is_worker_alone() {
        return worker::worker(settings, shutdown).await;
    }
    all_in_one(settings, shutdown, async |ready, shutdown| {
        if ready.settings.is_embedded() {
            let keys = tier_keys(&ready.settings, &ready.backends).await?;
            greet(&ready, &keys);
        }
        say(&format!("ready {}", ready.url));
        shutdown.cancelled().await;
        Ok(())
    })
    .await
}

fn greet(ready: &Ready, keys: &[TierKey]) {
    let url = &ready.url;
    say(&format!("Son1k answers at {url}"));
    say("");
    say(&format!("A key for each tier, kept in {}:", ready.settings.secrets_dir().display()));
    for TierKey { tier, key } in keys {
        say(&format!("  {:<11} {}", tier.name(), key.reveal()));
    }
    if let Some(TierKey { key, .. }) = keys.last() {
        say("");
        say("A song, when this is pasted:");
        say(&curl(url, key.reveal()));
    }
    say("");
}

/// A line for any shell: it waits for the song and prints where it is.
pub(crate) fn curl(url: &str, key: &str) -> String {
    format!(
        "  curl -sS {url}/v1/generations -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -H 'Prefer: wait' \
         -d '{{\"prompt\": \"lofi beat to study to\"}}'"
    )
}
