//! The ledger on PostgreSQL: its connections, how long it waits, and what it repeats by itself. The use cases are in the modules beside it.
//!
//! It holds no state that decides anything: kill it at any moment, and what was committed is all there is.

use crate::clock::Clock;
use crate::failure::Failure;
use crate::generations::{Counted, Crowd};
use crate::migrations::{self, SchemaError};
use async_trait::async_trait;
use domain::Timestamp;
use domain::ports::{LedgerClock, Probe, StoreError};
use domain::tier::Tiers;
use secrecy::{ExposeSecret, SecretString};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool, Postgres, Transaction};
use std::future::Future;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// The oldest PostgreSQL that has all that the statements use.
const SERVER_OLDEST: i32 = 150_000;
const ACQUIRE_WITHIN: Duration = Duration::from_secs(1);
/// For the connection of a lease's own. Then the pool has to do: a server may have no more connections to give than the pool has taken.
const LEASE_ACQUIRE_WITHIN: Duration = Duration::from_millis(400);
/// A connection that lay idle for longer is asked whether it lives before it is used: after a restart of the server all of them are.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// One call of a port, its repeats included. Longer than the server's own bound, so that the server usually ends it first.
const CALL_MOST: Duration = Duration::from_secs(10);
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
const PROBE_WITHIN: Duration = Duration::from_secs(1);
/// Tries of one call, the first included.
const TRIES: u32 = 4;
/// What is contended is tried again no longer than this: whoever holds a lock for longer may hold it for minutes.
const CONTENDED_MOST: Duration = Duration::from_millis(900);
/// Held by the server for each connection.
const SERVER_BOUNDS: [(&str, &str); 3] =
    [("statement_timeout", "5s"), ("lock_timeout", "500ms"), ("idle_in_transaction_session_timeout", "5s")];
/// What the server's planner is told on each connection. A plan that was made while a table was small is kept until the table is next analysed, up to a
/// minute later, whatever a flood has made of it: so no plan may read a table from end to end where an index will do, small or not. And a statement has
/// one plan, whatever it is asked for: planning it anew for each call costs several times what running it does.
pub const PLANNED: [(&str, &str); 4] =
    [("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("enable_mergejoin", "off"), ("jit", "off")];

/// What the ledger is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    pub database_url: SecretString,
    /// Connections kept and connections at most, for this process. One more is kept for a worker's renewals.
    pub pool_min: u32,
    pub pool_max: u32,
    pub tiers: Tiers,
}

/// Why the ledger cannot be used. No text repeats the URL.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("DATABASE_URL is not the URL of a PostgreSQL database (postgres://user:password@host/database)")]
    Url,
    #[error("PostgreSQL is out of reach: {0}")]
    Unreachable(String),
    #[error("PostgreSQL {0} is too old: 15 or later is needed")]
    TooOld(String),
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// When a connection was last found broken. Where one broke, its neighbours are likely to have, so those that lay idle then are asked first.
#[derive(Clone, Default)]
struct Suspicion(Arc<Mutex<Option<Instant>>>);

impl Suspicion {
    fn raise(&self) {
        *inside(&self.0) = Some(Instant::now());
    }

    fn falls_on(&self, idle_for: Duration) -> bool {
        idle_for > TRUSTED_FOR || inside(&self.0).is_some_and(|at| idle_for >= at.elapsed())
    }
}

/// `Accounts`, `Generations`, `Work`, `Tokens`, `LedgerClock` and `Probe` on PostgreSQL.
pub struct Ledger {
    pub(crate) pool: PgPool,
    /// A connection of its own for a worker's lease, so that no queue for the pool lets it lapse.
    pub(crate) renewals: PgPool,
    pub(crate) tiers: Tiers,
    pub(crate) backlog: Mutex<Counted>,
    pub(crate) crowd: Crowd,
    suspicion: Suspicion,
    clock: Arc<Clock>,
    following: AbortHandle,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("connections", &self.pool.size()).finish_non_exhaustive()
    }
}

/// Parses the URL and binds what the server is to hold us to.
pub(crate) fn options(url: &SecretString) -> Result<PgConnectOptions, ConnectError> {
    let url = url.expose_secret();
    // The parser takes any scheme for its own.
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(ConnectError::Url);
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| ConnectError::Url)?;
    Ok(options.application_name("son1k"))
}

impl Ledger {
    /// Connects, and refuses a server or a schema that this binary cannot work with.
    pub async fn connect(settings: Settings) -> Result<Arc<Self>, ConnectError> {
        Self::configured(settings, ACQUIRE_WITHIN).await
    }

    /// As [`Ledger::connect`], with what a call may wait for a free connection.
    pub async fn configured(settings: Settings, acquire_within: Duration) -> Result<Arc<Self>, ConnectError> {
        let options = options(&settings.database_url)?.options(SERVER_BOUNDS).options(PLANNED);
        let out_of_reach = |error: sqlx::Error| ConnectError::Unreachable(error.to_string());
        let suspicion = Suspicion::default();
        let renewals =
            pool_options(0, 1, &suspicion).acquire_timeout(LEASE_ACQUIRE_WITHIN).connect_lazy_with(options.clone());
        let pool = pool_options(settings.pool_min, settings.pool_max.max(1), &suspicion)
            .acquire_timeout(acquire_within)
            .connect_with(options)
            .await
            .map_err(out_of_reach)?;
        let mut connection = pool.acquire().await.map_err(out_of_reach)?;
        let server = sqlx::query!(
            r#"select current_setting('server_version_num')::int as "number!", current_setting('server_version') as "version!",
                      coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as "tls!""#
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(out_of_reach)?;
        if server.number < SERVER_OLDEST {
            return Err(ConnectError::TooOld(server.version));
        }
        if server.tls {
            tracing::warn!(
                "the ledger is reached over TLS: statements over 16 KiB wait about 40 ms each (sqlx 0.9.0 does not set TCP_NODELAY); \
                 in a private network, sslmode=disable avoids it"
            );
        }
        migrations::check(&mut connection).await?;
        drop(connection);
        let clock = Arc::new(Clock::new());
        clock.measure(&pool).await.map_err(out_of_reach)?;
        let following = {
            let (clock, pool) = (Arc::clone(&clock), pool.clone());
            #[expect(
                clippy::disallowed_methods,
                reason = "owned by the ledger and aborted when it is closed or dropped"
            )]
            tokio::spawn(async move { clock.follow(pool).await }).abort_handle()
        };
        Ok(Arc::new(Self {
            pool,
            renewals,
            tiers: settings.tiers,
            backlog: Mutex::default(),
            crowd: Crowd::default(),
            suspicion,
            clock,
            following,
        }))
    }

    /// Lets what is under way end, for a few seconds at most, and closes the connections.
    pub async fn close(&self) {
        self.following.abort();
        let closed = async { tokio::join!(self.pool.close(), self.renewals.close()) };
        if tokio::time::timeout(CLOSE_WITHIN, closed).await.is_err() {
            tracing::warn!("the ledger's connections did not close in time");
        }
    }

    /// A transaction. What fails before its commit has changed nothing.
    ///
    /// It begins in a task of its own, which ends whoever waits for it: a `begin` that is dropped half way (sqlx 0.9.0, transact-rs/sqlx#4385)
    /// gives its connection back inside a transaction that nobody knows of, and what the next one believes to be committed is not.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, Failure> {
        let pool = self.pool.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "a shutdown need not wait for it; what it holds is a connection, as its return to the pool would"
        )]
        let begun = tokio::spawn(async move { pool.begin().await });
        match begun.await {
            Ok(begun) => Ok(begun?),
            Err(ended) => Err(Failure::Lost(ended.to_string())),
        }
    }

    /// A connection for a statement that commits by itself: failing to get one is not in doubt, failing after is.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, Failure> {
        Ok(self.pool.acquire().await?)
    }

    /// For a worker's lease: the connection of its own, or one of the pool's where the server gives no other.
    pub(crate) async fn lease_connection(&self) -> Result<PoolConnection<Postgres>, Failure> {
        match self.renewals.acquire().await {
            Ok(connection) => Ok(connection),
            Err(_) => self.connection().await,
        }
    }

    /// Runs a call that only reads: repeated when the connection broke or a lock was not given.
    pub(crate) async fn read<T, F, Fut>(&self, call: F) -> Result<T, StoreError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        match tokio::time::timeout(CALL_MOST, self.repeat(TRIES, call)).await {
            Ok(outcome) => outcome.map_err(StoreError::from),
            Err(_) => Err(StoreError::Unavailable("no answer in time".to_owned())),
        }
    }

    /// Runs a call that writes: repeated when it is certain that nothing was changed.
    pub(crate) async fn write<T, F, Fut>(&self, call: F) -> Result<T, StoreError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        self.write_trying(TRIES, call).await.map_err(StoreError::from)
    }

    /// The same with the failure as it was, and with at most this many tries where a lock was not given.
    pub(crate) async fn write_trying<T, F, Fut>(&self, contended: u32, call: F) -> Result<T, Failure>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        match tokio::time::timeout(CALL_MOST, self.repeat(contended, call)).await {
            Ok(outcome) => outcome,
            // Whether the commit had been sent, nobody knows any more.
            Err(_) => Err(Failure::InDoubt("no answer in time".to_owned())),
        }
    }

    async fn repeat<T, F, Fut>(&self, contended: u32, call: F) -> Result<T, Failure>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let (mut tried, begun) = (1, Instant::now());
        loop {
            let outcome = call().await;
            if let Err(Failure::Lost(_) | Failure::InDoubt(_)) = &outcome {
                self.suspicion.raise();
            }
            let most = match &outcome {
                Err(Failure::Contended(_)) if begun.elapsed() >= CONTENDED_MOST => return outcome,
                Err(Failure::Contended(_)) => contended,
                Err(Failure::Lost(_)) => TRIES,
                _ => return outcome,
            };
            if tried >= most {
                return outcome;
            }
            tracing::debug!(tried, "a call of the ledger is repeated");
            tokio::time::sleep(Duration::from_millis(5 << tried).mul_f64(rand::random())).await;
            tried += 1;
        }
    }
}

/// Commits. An answer that says no is a failure like others; no answer leaves it in doubt.
pub(crate) async fn commit(transaction: Transaction<'_, Postgres>) -> Result<(), Failure> {
    transaction.commit().await.map_err(Failure::unconfirmed)
}

fn pool_options(min: u32, max: u32, suspicion: &Suspicion) -> PgPoolOptions {
    let suspicion = suspicion.clone();
    PgPoolOptions::new().min_connections(min.min(max)).max_connections(max).test_before_acquire(false).before_acquire(
        move |connection, idle| {
            let suspect = suspicion.falls_on(idle.idle_for);
            Box::pin(async move {
                if suspect {
                    // An error closes this one, and the pool goes on to another.
                    tokio::time::timeout(PROBE_WITHIN, connection.ping())
                        .await
                        .map_err(|_| sqlx::Error::Protocol("an idle connection did not answer".to_owned()))??;
                }
                Ok(true)
            })
        },
    )
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl LedgerClock for Ledger {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

#[async_trait]
impl Probe for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn vital(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<(), String> {
        let asked = async {
            let mut connection = self.connection().await?;
            sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(&mut *connection).await.map_err(Failure::from)
        };
        match tokio::time::timeout(PROBE_WITHIN, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(failure)) => Err(StoreError::from(failure).to_string()),
            Err(_) => Err("PostgreSQL did not answer within a second".to_owned()),
        }
    }
}

/// The inside of a lock that holds plain numbers: nothing can be left half done in it.
pub(crate) fn inside<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
