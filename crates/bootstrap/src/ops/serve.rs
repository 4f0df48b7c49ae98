//! The small server of services without an API: health and metrics on `OPS_PORT`, and nothing else.

use super::Ops;
use actix_web::{App, HttpServer, web};
use std::net::TcpListener;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Serves until `until`, which comes after `ops.shutdown`: a process that drains still answers that it is not ready. One thread and few
/// connections: only probes and scrapers call.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(ops: Ops, listener: TcpListener, until: CancellationToken) -> std::io::Result<()> {
    let server = HttpServer::new(move || {
        let ops = ops.clone();
        App::new().configure(move |app: &mut web::ServiceConfig| ops.configure(app))
    })
    .workers(1)
    .max_connections(128)
    .client_request_timeout(Duration::from_secs(5))
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended,
        () = until.cancelled() => {}
    }
    // Stopping and serving go together: the server only stops while it is polled.
    let (ended, ()) = tokio::join!(server, handle.stop(true));
    ended
}
