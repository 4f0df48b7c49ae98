//! SIGTERM and SIGINT: the first asks everything to end, the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT. The second one ends the process with status 1, whatever still drains.
///
/// Must be called within a runtime. The watcher lives as long as the process.
///
/// # Errors
/// When the process may not watch its signals.
pub fn shutdown_on_signals() -> std::io::Result<CancellationToken> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "it watches until the process is gone: a shutdown that waited for it would never end"
    )]
    tokio::spawn(async move {
        let first = next(&mut term, &mut interrupt).await;
        tracing::info!(signal = first, "shutting down");
        told.cancel();
        let second = next(&mut term, &mut interrupt).await;
        tracing::warn!(signal = second, "told twice: ending at once");
        std::process::exit(1);
    });
    Ok(shutdown)
}

async fn next(term: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
