//! An upstream that behaves like the real one: it takes generations, renders them in real time, refuses and fails as scripted, and
//! serves audio that can be listened to.
//!
//! It speaks the `suno` dialect of the public contract and keeps nothing on disk. An id says when its render began, how long it takes
//! and what it sounds like ([`render::RenderId`]), so a simulator that was killed and started again still knows every render that it
//! accepted before. What is not in an id (idempotency keys, cancels, titles) lives in bounded memory and dies with the process.
//!
//! It reads the wall clock on purpose: the upstream is another machine, and the ledger's clock is none of its business.

mod callbacks;
mod calls;
mod clock;
mod cover;
mod fault;
mod log;
mod music;
mod render;
mod renders;
mod script;
mod world;

pub use script::{Call, FailRule, FaultKind, RenderSeconds, Script};

use actix_web::{App, HttpServer, middleware, web};
use std::net::TcpListener;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use world::World;

/// The most a request may send.
const BODY_LARGEST: usize = 64 * 1024;
/// Connections held at once by each of the two threads.
const CONNECTIONS_MOST: usize = 16_384;

/// What a simulator is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where customers fetch audio from, without a trailing slash: `http://host:port`.
    pub public_url: String,
    /// How it behaves until `PUT /_simulator` says otherwise.
    pub script: Script,
    /// Secrets that it accepts. `None`: any that is not empty.
    pub known_tokens: Option<Vec<String>>,
    /// Makes render lengths and faults the same on each run, as far as calls come in the same order. `None`: random.
    pub seed: Option<u64>,
}

impl Settings {
    pub fn new(public_url: impl Into<String>) -> Self {
        Self { public_url: public_url.into(), script: Script::default(), known_tokens: None, seed: None }
    }
}

/// The secret of the simulator's `number`-th token: what a pool that provisions itself from here imports. The same number has the
/// same secret in every run, so that importing again finds duplicates.
pub fn token(number: u32) -> String {
    format!("sim-token-{number:05}")
}

/// Serves until `shutdown` is cancelled: requests under way then get two seconds, and hanging ones are dropped.
///
/// # Errors
/// When the listener cannot be served.
pub async fn run(settings: Settings, listener: TcpListener, shutdown: CancellationToken) -> std::io::Result<()> {
    let tasks = TaskTracker::new();
    let world = web::Data::new(World::new(settings, shutdown.clone(), &tasks));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(world.clone())
            .app_data(web::PayloadConfig::new(BODY_LARGEST))
            // Browsers on another origin play the audio.
            .wrap(middleware::DefaultHeaders::new().add(("Access-Control-Allow-Origin", "*")))
            .configure(calls::routes)
    })
    .workers(2)
    .max_connections(CONNECTIONS_MOST)
    // A client that gave up on a hanging answer frees its connection at once.
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    .disable_signals()
    .shutdown_timeout(Duration::from_secs(2).as_secs())
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::pin!(server);
    let served = tokio::select! {
        served = &mut server => served,
        () = shutdown.cancelled() => tokio::join!(&mut server, handle.stop(true)).0,
    };
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
    served
}
