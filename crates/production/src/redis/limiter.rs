//! The exact limiter on Redis. It answers within its budget or fails; what to do then is [`super::FallbackLimiter`]'s.

use super::breaker::Breaker;
use async_trait::async_trait;
use domain::ids::AccountId;
use domain::ports::limiter::LimiterError;
use domain::ports::{Probe, RateLimiter};
use domain::rate::{RateDecision, WINDOW};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncConnectionConfig, Client, RedisError, Script, ServerErrorKind};
use secrecy::{ExposeSecret, SecretString};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// A timer that rings later than this says that this process was held up, not Redis.
const LATE: Duration = Duration::from_millis(15);
/// How often Redis is given its budget when this process could not listen, or Redis answered others meanwhile.
const CHANCES: u32 = 3;
/// What everything that no request waits for may take.
const UNHURRIED: Duration = Duration::from_secs(1);

/// Why the limiter cannot start. That Redis is out of reach is no reason.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text does not repeat the URL: it may hold a password.
    #[error("not a Redis URL of the form redis://[user:password@]host[:port][/db]: {0}")]
    Url(String),
    #[error("Redis refused the connection: {0}")]
    Refused(String),
}

pub struct RedisLimiter {
    client: Client,
    config: ConnectionManagerConfig,
    /// Replaced when the breaker opens: a connection that died silently is not waited for.
    connection: RwLock<ConnectionManager>,
    script: Script,
    namespace: String,
    budget: Duration,
    pub(super) breaker: Breaker,
    /// Tells this process's passes from all others'.
    origin: u64,
    passes: AtomicU64,
    /// Answers that came in time.
    answers: AtomicU64,
}

impl RedisLimiter {
    /// Starts whether Redis is up or not: it is tried for a second (or `budget`, where that is longer), and from then on by each check. A
    /// server that answers and refuses the credentials is an error.
    ///
    /// `connect_timeout` bounds each attempt to connect, `max_retries` the attempts in a row before all who wait fail; `budget` is what
    /// a check may take, reconnecting included.
    pub async fn connect(
        url: &SecretString,
        connect_timeout: Duration,
        max_retries: usize,
        budget: Duration,
    ) -> Result<Arc<Self>, ConnectError> {
        Self::configured(url, "son1k", connect_timeout, max_retries, budget).await
    }

    /// As [`RedisLimiter::connect`], with the prefix of all keys: `{namespace}:rate:{account}`.
    pub async fn configured(
        url: &SecretString,
        namespace: &str,
        connect_timeout: Duration,
        max_retries: usize,
        budget: Duration,
    ) -> Result<Arc<Self>, ConnectError> {
        let client = Client::open(url.expose_secret()).map_err(|error| ConnectError::Url(error.to_string()))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(connect_timeout))
            .set_response_timeout(Some(UNHURRIED.max(budget * CHANCES)))
            .set_number_of_retries(max_retries)
            .set_max_delay(Duration::from_secs(1));
        let connection = ConnectionManager::new_lazy_with_config(client.clone(), config.clone())
            .map_err(|error| ConnectError::Url(error.to_string()))?;
        let limiter = Arc::new(Self {
            client,
            config,
            connection: RwLock::new(connection),
            script: Script::new(include_str!("window.lua")),
            namespace: namespace.into(),
            budget,
            breaker: Breaker::default(),
            origin: rand::random(),
            passes: AtomicU64::new(0),
            answers: AtomicU64::new(0),
        });
        match timeout(UNHURRIED.max(budget), limiter.look()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if refused(&error) => return Err(ConnectError::Refused(error.category().into())),
            Ok(Err(error)) => {
                tracing::warn!(error = error.category(), "Redis is out of reach; limits are this gateway's own")
            }
            Err(_late) => tracing::warn!("Redis does not answer; limits are this gateway's own"),
        }
        Ok(limiter)
    }

    /// For `/readyz`: named `redis`, not vital.
    pub fn probe(self: &Arc<Self>) -> Arc<dyn Probe> {
        Arc::new(Reachable(Arc::clone(self)))
    }

    /// A number for one pass, unique within this process.
    pub(super) fn next_pass(&self) -> u64 {
        self.passes.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks Redis, breaker or not, within the budget. Counts for the breaker.
    pub(super) async fn ask(&self, account: AccountId, limit: u32, pass: u64) -> Result<RateDecision, LimiterError> {
        let mut invocation = self.script.key(self.key(account));
        invocation.arg(micros(WINDOW)).arg("check").arg(limit).arg(self.name(pass));
        let mut connection = self.connection();
        let answer = self.within_budget(invocation.invoke_async::<(bool, u32, u64, u64)>(&mut connection)).await;
        let error = match answer {
            Some(Ok((allowed, remaining, reset, retry))) => {
                self.breaker.answered();
                self.answers.fetch_add(1, Ordering::Relaxed);
                return Ok(RateDecision {
                    allowed,
                    limit,
                    remaining,
                    reset_after: Duration::from_micros(reset),
                    retry_after: Duration::from_micros(retry),
                });
            }
            Some(Err(error)) => error.category().to_owned(),
            None => format!("no answer within {} ms", self.budget.as_millis()),
        };
        if self.breaker.failed() {
            self.reconnect();
        }
        Err(LimiterError(error))
    }

    /// `None`: no answer within the budget. An overloaded gateway must not take its own pauses for Redis's, or it stops being exact under just
    /// the attack that it is to hold: where it could not listen in time, or others were answered, Redis is given the budget again, twice at most.
    async fn within_budget<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = pin!(answer);
        for _ in 0..CHANCES {
            let (answers, due) = (self.answers.load(Ordering::Relaxed), Instant::now() + self.budget);
            if let Ok(answer) = timeout_at(due, &mut answer).await {
                return Some(answer);
            }
            if due.elapsed() < LATE && self.answers.load(Ordering::Relaxed) == answers {
                return None;
            }
        }
        None
    }

    /// Tells Redis of passes that it may not know, as ages in microseconds and numbers. Any number of times: each counts once.
    pub(super) async fn merge(&self, account: AccountId, passes: &[(u64, u64)]) -> Result<(), LimiterError> {
        let mut invocation = self.script.key(self.key(account));
        invocation.arg(micros(WINDOW)).arg("merge");
        for (age, pass) in passes {
            invocation.arg(*age).arg(self.name(*pass));
        }
        let mut connection = self.connection();
        match timeout(UNHURRIED, invocation.invoke_async::<u64>(&mut connection)).await {
            Ok(Ok(_new)) => Ok(()),
            Ok(Err(error)) => Err(LimiterError(error.category().into())),
            Err(_late) => Err(LimiterError("no answer within a second".into())),
        }
    }

    /// Whether it answers at all. Without a budget: no request waits for it.
    pub(super) async fn ping(&self) -> Result<(), LimiterError> {
        let mut connection = self.connection();
        match timeout(UNHURRIED, redis::cmd("PING").query_async::<()>(&mut connection)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(LimiterError(error.category().into())),
            Err(_late) => Err(LimiterError("no answer within a second".into())),
        }
    }

    /// The first contact, on a connection of its own that is tried once: looks whether Redis may throw windows away.
    async fn look(&self) -> Result<(), RedisError> {
        // Whoever asks bounds it.
        let unbounded = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&unbounded).await?;
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
        let policy = info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        if let Some(policy) = policy.map(str::trim).filter(|policy| *policy != "noeviction") {
            tracing::warn!(
                policy,
                "Redis may evict rate limits when its memory is full; set maxmemory-policy noeviction"
            );
        }
        Ok(())
    }

    fn reconnect(&self) {
        if let Ok(fresh) = ConnectionManager::new_lazy_with_config(self.client.clone(), self.config.clone()) {
            *self.connection.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    fn connection(&self) -> ConnectionManager {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn key(&self, account: AccountId) -> String {
        format!("{}:rate:{account}", self.namespace)
    }

    fn name(&self, pass: u64) -> String {
        format!("{:x}-{pass:x}", self.origin)
    }
}

#[async_trait]
impl RateLimiter for RedisLimiter {
    /// While the breaker is open it fails at once, but for one probe a second, whose answer closes it.
    async fn check(&self, account: AccountId, limit: u32) -> Result<RateDecision, LimiterError> {
        let open = self.breaker.is_open();
        if open && !self.breaker.may_probe() {
            return Err(LimiterError("it has not answered for a while".into()));
        }
        let decision = self.ask(account, limit, self.next_pass()).await?;
        if open {
            self.breaker.close();
        }
        Ok(decision)
    }
}

struct Reachable(Arc<RedisLimiter>);

#[async_trait]
impl Probe for Reachable {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn vital(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<(), String> {
        if self.0.breaker.is_open() {
            return Err("no answers; limits are this gateway's own".into());
        }
        self.0.ping().await.map_err(|error| error.0)
    }
}

fn refused(error: &RedisError) -> bool {
    use redis::ErrorKind;
    matches!(error.kind(), ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm))
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
