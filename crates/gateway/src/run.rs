//! A gateway's life: start what runs in the background, serve, drain, stop.

use crate::app::Part;
use crate::core::Core;
use crate::metrics::Metrics;
use crate::unauthenticated::FORGET_EVERY;
use crate::{Apart, Gateway, GatewayError, Ops, admit, app, heartbeat, observe, verification};
use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use domain::account::Overrides;
use domain::ids::{AccountId, KeyId};
use domain::ports::accounts::{NewAccount, NewKey};
use domain::tier::Tier;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// A request's head must have arrived by then.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const CONNECTIONS_MOST: usize = 25_000;
/// Operators and scrapers are few.
const CONNECTIONS_MOST_APART: usize = 256;
const QUEUE_SHOWN_EVERY: Duration = Duration::from_secs(5);
const SYSTEM_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// What background tasks have to end once nothing is served any more.
const TASKS_END_WITHIN: Duration = Duration::from_secs(12);

/// Serves on `listener` until `shutdown`, then drains: streams end, submissions under way are answered, rings go out.
///
/// # Errors
///
/// When the HTTP server cannot run. A store that is out of reach is no error: `/readyz` says so, and it is tried again.
pub async fn run(gateway: Gateway, listener: TcpListener, shutdown: CancellationToken) -> Result<(), GatewayError> {
    let Gateway { settings, backends, token_admin, ops, apart, registry } = gateway;
    let metrics = Metrics::new(&registry).map_err(std::io::Error::other)?;
    let (workers, drain_at_least) = (settings.http_workers.max(1), settings.drain_at_least);
    let drain_at_most = settings.drain_at_most.as_secs().max(1);
    let tasks = TaskTracker::new();
    let stopped = CancellationToken::new();
    let core = Arc::new(Core::new(settings, backends, token_admin, Arc::new(metrics), &tasks));
    background(&core, &tasks, &stopped);

    let part = if apart.is_some() { Part::Customers } else { Part::All };
    let place = Place { listener, workers, connections: CONNECTIONS_MOST, drain_at_most };
    let server = serve(&core, part, ops, place)?;
    let apart = apart.map(|Apart { listener, ops }| {
        let place = Place { listener, workers: 1, connections: CONNECTIONS_MOST_APART, drain_at_most };
        serve(&core, Part::Operators, ops, place)
    });
    let apart = apart.transpose()?;

    let (handle, closing) = (server.handle(), core.closing.clone());
    let (asked, served) = (shutdown.clone(), stopped.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = asked.cancelled() => {}
            () = served.cancelled() => return,
        }
        sleep(drain_at_least).await;
        closing.cancel();
        handle.stop(true).await;
    });
    let result = match apart {
        None => server.await,
        Some(apart) => {
            // Probes and operators are answered until the last customer is.
            let asked = apart.handle();
            let served = async {
                let result = server.await;
                asked.stop(true).await;
                result
            };
            let (result, operators) = tokio::join!(served, apart);
            result.and(operators)
        }
    };

    core.closing.cancel();
    stopped.cancel();
    // The last holder of the intake: what it had taken in is committed, then its task ends.
    drop(core);
    tasks.close();
    if timeout(TASKS_END_WITHIN, tasks.wait()).await.is_err() {
        tracing::warn!("background tasks did not end in time");
    }
    Ok(result?)
}

/// Where and how one part is served.
struct Place {
    listener: TcpListener,
    workers: usize,
    connections: usize,
    /// Seconds.
    drain_at_most: u64,
}

fn serve(core: &Arc<Core>, part: Part, ops: Ops, place: Place) -> std::io::Result<Server> {
    let shared = web::Data::from(core.clone());
    let server = HttpServer::new(move || {
        let ops = ops.clone();
        App::new()
            .app_data(shared.clone())
            .wrap(from_fn(admit::admit))
            .wrap(from_fn(observe::observe))
            .configure(|service| ops(service))
            .configure(|service| app::mount(service, part))
            .default_service(web::to(app::nothing))
    });
    let server = server
        .workers(place.workers)
        .max_connections(place.connections.div_ceil(place.workers))
        .client_request_timeout(HEAD_WITHIN)
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(place.drain_at_most)
        .disable_signals()
        .listen(place.listener)?;
    Ok(server.run())
}

fn background(core: &Arc<Core>, tasks: &TaskTracker, stopped: &CancellationToken) {
    let doorbell = &core.backends.doorbell;
    tasks.spawn(core.ringer.clone().run(doorbell.clone(), stopped.clone()));
    tasks.spawn(core.hub.clone().run(doorbell.clone(), stopped.clone()));
    tasks.spawn(heartbeat::heartbeat(core.clone(), stopped.clone()));
    tasks.spawn(until(stopped.clone(), ensure_system(core.clone())));
    tasks.spawn(until(stopped.clone(), upkeep(core.clone())));
    tasks.spawn(until(stopped.clone(), verification::run(core.clone())));
}

async fn until(stopped: CancellationToken, work: impl Future<Output = ()>) {
    stopped.run_until_cancelled(work).await;
}

/// The system account has one id everywhere, so that gateways that start at once agree.
async fn ensure_system(core: Arc<Core>) {
    let key = &core.settings.system_key;
    let hash = key.hash(&core.settings.pepper);
    let id = AccountId::from_uuid(Uuid::nil());
    let mut name = [0; 16];
    name.copy_from_slice(&hash.0[..16]);
    loop {
        let account = NewAccount {
            id,
            name: "system".to_owned(),
            email: None,
            tier: Tier::System,
            overrides: Overrides::default(),
        };
        let key = NewKey {
            // Named by its hash: the same key is the same row, another key is another one.
            id: KeyId::from_uuid(Uuid::from_bytes(name)),
            account_id: id,
            name: "SYSTEM_API_KEY".to_owned(),
            prefix: key.reveal().chars().take(4).collect(),
            hash,
            expires_at: None,
        };
        match core.backends.accounts.ensure_system(account, key).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "the system account could not be made"),
        }
        sleep(SYSTEM_AGAIN_AFTER).await;
    }
}

/// Forgets idle addresses, shows the queue's numbers and counts what lies aside.
async fn upkeep(core: Arc<Core>) {
    let mut forget = interval(FORGET_EVERY);
    let mut show = interval(QUEUE_SHOWN_EVERY);
    show.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = forget.tick() => core.strangers.forget(),
            _ = show.tick() => {
                match core.queue().await {
                    Ok(stats) => {
                        core.metrics.show_queue(&stats);
                        core.console.history.add(core.backends.clock.now(), &stats);
                    }
                    Err(error) => tracing::debug!(%error, "the queue's numbers are not known"),
                }
                // Shown by being counted.
                core.dead().await;
            }
        }
    }
}
