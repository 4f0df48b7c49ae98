//! Opening and closing the ledger: the data folder and its lock, the connections, the migrations.
//!
//! Writes go through one connection, so they never meet; reads have a few of their own and see the last commit. Every commit is on
//! disk before it is answered. It does not decide anything: each use case is a file of its own.

use crate::clock::Clock;
use crate::outcome::{Outcome, Unwell};
use domain::Timestamp;
use domain::ports::StoreError;
use domain::tier::Tiers;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const DATABASE: &str = "ledger.sqlite";
const LOCK: &str = "ledger.lock";
const READERS: u32 = 4;
/// How long a statement waits for a connection, and SQLite for a lock, before the store counts as out of reach.
const WAIT_MOST: Duration = Duration::from_secs(5);

pub struct Settings {
    /// Made when it is missing, for its owner alone.
    pub data_dir: PathBuf,
    pub tiers: Tiers,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data folder {} cannot be used: {error}", folder.display())]
    Folder { folder: PathBuf, error: std::io::Error },
    #[error("the data folder {} is in use by another process", folder.display())]
    InUse { folder: PathBuf },
    #[error("the ledger in {} cannot be brought up to date: {error}", folder.display())]
    Migration { folder: PathBuf, error: sqlx::migrate::MigrateError },
    #[error("the ledger cannot be opened: {0}")]
    Store(#[from] StoreError),
}

/// The ledger of one process: every port of the store, on SQLite.
pub struct Ledger {
    writer: SqlitePool,
    readers: SqlitePool,
    pub(crate) clock: Clock,
    pub(crate) tiers: Tiers,
    /// Held until the ledger is closed: two processes on one folder would each think that the other's workers are dead.
    lock: Mutex<Option<File>>,
}

impl Ledger {
    /// Opens the ledger of a data folder, and marks every worker dead: this process is the only one, so whatever was held is free
    /// to be adopted at once.
    pub async fn open(settings: Settings) -> Result<Arc<Self>, OpenError> {
        let Settings { data_dir, tiers } = settings;
        let lock = claim_folder(&data_dir)?;
        let options = SqliteConnectOptions::new()
            .filename(data_dir.join(DATABASE))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(WAIT_MOST);
        let writer = pool(1).connect_with(options.clone()).await.map_err(unopened)?;
        sqlx::migrate!("../../migrations/sqlite")
            .run(&writer)
            .await
            .map_err(|error| OpenError::Migration { folder: data_dir.clone(), error })?;
        let last_seen = bury_the_dead(&writer).await.map_err(StoreError::from)?;
        let readers = pool(READERS).connect_with(options.pragma("query_only", "on")).await.map_err(unopened)?;
        let clock = Clock::starting_at(last_seen);
        Ok(Arc::new(Self { writer, readers, clock, tiers, lock: Mutex::new(Some(lock)) }))
    }

    /// Waits for what is under way, writes the log back into the database and gives the folder free.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A write transaction with the moment that it is to be dated by. It holds the only writer until it is committed or dropped.
    pub(crate) async fn write(&self) -> Outcome<(Transaction<'static, Sqlite>, Timestamp)> {
        let transaction = self.writer.begin_with("begin immediate").await?;
        Ok((transaction, self.clock.now()))
    }

    pub(crate) const fn read(&self) -> &SqlitePool {
        &self.readers
    }
}

/// Makes sure of the commit's answer: from the moment it is sent, a failure says that it may have happened.
pub(crate) async fn commit(transaction: Transaction<'static, Sqlite>) -> Outcome<()> {
    transaction.commit().await.map_err(|error| Unwell(StoreError::InDoubt(error.to_string())))
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // A connection to a file does not go stale: it is neither tested nor renewed.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WAIT_MOST)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

fn unopened(error: sqlx::Error) -> OpenError {
    OpenError::Store(Unwell::from(error).into())
}

fn claim_folder(folder: &Path) -> Result<File, OpenError> {
    let unusable = |error| OpenError::Folder { folder: folder.to_owned(), error };
    make_folder(folder).map_err(unusable)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK)).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Marks the workers of the process before this one dead. Answers the last moment that it is known to have seen, in microseconds.
async fn bury_the_dead(writer: &SqlitePool) -> Outcome<i64> {
    let mut connection = writer.acquire().await?;
    let connection: &mut SqliteConnection = &mut connection;
    sqlx::query!("update workers set state = 'dead' where state = 'alive'").execute(&mut *connection).await?;
    let seen = sqlx::query_scalar!(
        r#"select max(
            coalesce((select max(renewed_at) from workers), 0),
            coalesce((select created_at from generations order by id desc limit 1), 0),
            coalesce((select max(ended_at) from attempts where outcome = 'succeeded'), 0),
            coalesce((select max(ended_at) from attempts where outcome = 'failed'), 0),
            coalesce((select max(ended_at) from attempts where outcome = 'canceled'), 0)
        ) as "seen!: i64""#
    )
    .fetch_one(connection)
    .await?;
    Ok(seen)
}
