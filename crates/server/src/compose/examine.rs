//! Every server that the settings name, opened the way a service would, for `son1k doctor`: within a deadline, and closed again; and the
//! data folder, written to as a service would.
//!
//! An embedded ledger is not opened: it belongs to the one process that runs on it.

use bootstrap::Settings;
use domain::Timestamp;
use domain::ports::{Doorbell, LedgerClock, Probe};
use futures::StreamExt;
use production::rabbitmq::RabbitDoorbell;
use production::redis::RedisLimiter;
use std::fs::{self, Metadata, OpenOptions};
use std::path::Path;
use std::time::Duration;

const OPENS_WITHIN: Duration = Duration::from_secs(10);

/// What became of one server. The texts carry no credentials.
pub(crate) struct Examined {
    pub(crate) setting: &'static str,
    pub(crate) result: Result<String, String>,
}

async fn within<T>(opening: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(OPENS_WITHIN, opening)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", OPENS_WITHIN.as_secs())))
}

/// PostgreSQL as a service finds it: reachable, new enough, on this binary's schema. With its clock.
pub(crate) async fn database(settings: &Settings) -> Option<(Examined, Option<Timestamp>)> {
    let database = settings.database.as_ref()?;
    let settings = production::Settings {
        database_url: database.url.clone(),
        pool_min: 0,
        pool_max: 1,
        tiers: settings.tiers.clone(),
    };
    let opened = within(async {
        let ledger = production::Ledger::connect(settings).await.map_err(|error| error.to_string())?;
        let now = ledger.now();
        let checked = ledger.check().await;
        ledger.close().await;
        checked.map(|()| now)
    })
    .await;
    let now = opened.as_ref().ok().copied();
    let result = opened.map(|_| "reachable, new enough, its schema is this binary's".to_owned());
    Some((Examined { setting: "DATABASE_URL", result }, now))
}

/// RabbitMQ: reachable, and its permissions and policies let us declare, bind and publish. It rings one worker for nothing.
pub(crate) async fn broker(settings: &Settings) -> Option<Examined> {
    let url = settings.rabbitmq_url.as_ref()?;
    let result = within(async {
        let doorbell = RabbitDoorbell::connect(url, "son1k doctor").await.map_err(|error| error.to_string())?;
        let mut changes = doorbell.changes();
        let probe = doorbell.probe();
        // The first thing that a listener hears is that it listens: its queue is declared and bound.
        let listens = changes.next().await;
        let rang = doorbell.ring_workers(None).await;
        let checked = probe.check().await;
        doorbell.close().await;
        checked?;
        listens.ok_or("the listener ended")?;
        rang.map_err(|error| error.to_string())?;
        Ok("reachable; queues can be declared, bound, listened to and rung".to_owned())
    })
    .await;
    Some(Examined { setting: "RABBITMQ_URL", result })
}

/// Redis: reachable, and its clock and scripts answer. A policy that may evict limits is logged as a warning.
pub(crate) async fn limiter(settings: &Settings) -> Option<Examined> {
    let redis = settings.redis.as_ref()?;
    let result = within(async {
        let opened = RedisLimiter::connect(&redis.url, redis.connect_timeout, 1, redis.answer_timeout).await;
        let limiter = opened.map_err(|error| error.to_string())?;
        limiter.probe().check().await?;
        Ok("reachable".to_owned())
    })
    .await;
    Some(Examined { setting: "REDIS_URL", result })
}

/// The token pool: some replica leads and takes our secret.
pub(crate) async fn pool(settings: &Settings) -> Option<Examined> {
    settings.pool.url.as_ref()?;
    let result = match &settings.secrets.internal {
        None => Err("INTERNAL_AUTH_SECRET is not set here, so the pool would not answer".to_owned()),
        Some(_) => {
            within(async {
                let pool = super::remote_pool(settings).map_err(|error| format!("{error:#}"))?;
                let pool = pool.ok_or("it is not named")?;
                pool.probe(true).check().await?;
                Ok("a replica leads and answers".to_owned())
            })
            .await
        }
    };
    Some(Examined { setting: "TOKEN_POOL_URL", result })
}

/// How `DATA_DIR` is.
pub(crate) enum Folder {
    Missing,
    Other,
    /// This user cannot look into it or make a file in it.
    NotOurs(std::io::Error),
    /// This user may do what only another should.
    Anothers,
    /// Its group or everybody may do something with it.
    Open,
    Ours,
}

/// Modes say too little of who may write (another's folder, a read-only disk), so a file is made in it, and removed.
pub(crate) fn folder(path: &Path) -> Folder {
    let found = match fs::metadata(path) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => return Folder::Other,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Folder::Missing,
        Err(error) => return Folder::NotOurs(error),
    };
    let trial = path.join(format!(".doctor-{}", std::process::id()));
    let made = fs::read_dir(path)
        .and_then(|_| OpenOptions::new().write(true).create_new(true).open(&trial))
        .and_then(|file| file.metadata());
    let removed = if made.is_ok() { fs::remove_file(&trial) } else { Ok(()) };
    match (made, removed) {
        (Err(error), _) | (_, Err(error)) => Folder::NotOurs(error),
        (Ok(made), _) if owner(&made) != owner(&found) => Folder::Anothers,
        _ if is_open(&found) => Folder::Open,
        _ => Folder::Ours,
    }
}

#[cfg(unix)]
fn owner(found: &Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(found)
}

#[cfg(unix)]
fn is_open(found: &Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn owner(_: &Metadata) -> u32 {
    0
}

#[cfg(not(unix))]
fn is_open(_: &Metadata) -> bool {
    false
}
