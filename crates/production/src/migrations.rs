//! The schema: brings a database up to this binary's version, and says when it is not.
//!
//! Forward only. A schema newer than the binary is accepted: releases expand first and contract one release later.

use crate::ledger::{ConnectError, options};
use secrecy::SecretString;
use sqlx::migrate::{MigrateError as Trouble, Migrator};
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::borrow::Cow;
use std::time::Duration;

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/postgres");

/// A statement queued for a lock holds up all that come after it: rather step back and try again.
const BOUNDS: [(&str, &str); 2] = [("lock_timeout", "2s"), ("idle_in_transaction_session_timeout", "60s")];
const TRIES: u32 = 30;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Why a schema does not fit this binary.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("the database has schema version {found}, this binary needs {needed}: run `son1k migrate`")]
    Behind { found: i64, needed: i64 },
    #[error("migration {0} was begun and did not end: repair it by hand, then run `son1k migrate`")]
    Dirty(i64),
    #[error("the schema's version could not be read: {0}")]
    Unreadable(String),
}

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the migrations failed: {0}")]
    Failed(String),
}

/// What `migrate` found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    pub from: i64,
    pub to: i64,
}

fn needed() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Applies what is missing, one migrator at a time under an advisory lock, each file in a transaction of its own.
pub async fn migrate(database_url: &SecretString) -> Result<Migrated, MigrateError> {
    let options = options(database_url)?.application_name("son1k migrate").options(BOUNDS);
    let connecting = tokio::time::timeout(CONNECT_WITHIN, options.connect());
    let mut connection = connecting
        .await
        .map_err(|_| ConnectError::Unreachable("no answer in time".to_owned()))?
        .map_err(|error| ConnectError::Unreachable(error.to_string()))?;
    // A newer binary's migrations are no error of ours.
    let mut migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().collect());
    migrator.set_ignore_missing(true);
    let from = applied(&mut connection).await.map_err(|error| MigrateError::Failed(error.to_string()))?;
    let from = from.last().map_or(0, |(version, _)| *version);
    let mut tried = 1;
    loop {
        let outcome = migrator.run_direct(None, &mut connection, false).await;
        match outcome {
            Ok(()) => {
                // The work is done: how the connection closes changes nothing.
                drop(tokio::time::timeout(CONNECT_WITHIN, connection.close()).await);
                return Ok(Migrated { from, to: from.max(needed()) });
            }
            Err(trouble) if tried < TRIES && is_contention(&trouble) => {
                tracing::info!(tried, "the migrations wait for a lock");
                tried += 1;
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            Err(trouble) => return Err(MigrateError::Failed(trouble.to_string())),
        }
    }
}

fn is_contention(trouble: &Trouble) -> bool {
    let (Trouble::Execute(error) | Trouble::ExecuteMigration(error, _)) = trouble else { return false };
    let code = error.as_database_error().and_then(|database| database.code().map(Cow::into_owned));
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

/// The applied versions in order, each with whether it ended well. Not checked at compile time: the table is the migrator's own.
async fn applied(connection: &mut PgConnection) -> Result<Vec<(i64, bool)>, sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_as("select version, success from _sqlx_migrations order by version").fetch_all(connection).await
}

/// Refuses a schema that is behind this binary, or left half way.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<(), SchemaError> {
    let applied = applied(connection).await.map_err(|error| SchemaError::Unreadable(error.to_string()))?;
    if let Some((version, _)) = applied.iter().find(|(_, success)| !success) {
        return Err(SchemaError::Dirty(*version));
    }
    if MIGRATOR.iter().all(|migration| applied.iter().any(|(version, _)| *version == migration.version)) {
        return Ok(());
    }
    let found = applied.last().map_or(0, |(version, _)| *version);
    Err(SchemaError::Behind { found, needed: needed() })
}
