//! The Redis limiter keeps the contract, over two gateways; and what holds when Redis does not.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod server;

use async_trait::async_trait;
use conformance::limiter::{LimiterFixture, account};
use domain::ids::AccountId;
use domain::ports::RateLimiter;
use domain::rate::WINDOW;
use production::redis::{ConnectError, FallbackLimiter, RedisLimiter};
use redis::aio::MultiplexedConnection;
use secrecy::SecretString;
use server::Server;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a busy machine must not turn a late answer into a failure.
const PATIENT: Duration = Duration::from_secs(10);
/// The same, where the test waits for answers that do not come.
const FIRM: Duration = Duration::from_millis(500);

#[expect(clippy::disallowed_methods, reason = "tests find their servers by the environment")]
fn shared() -> String {
    std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL is not set; run the tests with ./scripts/test")
}

async fn limiter(url: &str, namespace: &str, budget: Duration) -> Arc<RedisLimiter> {
    let url = SecretString::from(url.to_owned());
    RedisLimiter::configured(&url, namespace, Duration::from_secs(1), 3, budget).await.unwrap()
}

async fn client(url: &str) -> MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

fn a_namespace() -> String {
    format!("test{:x}", rand::random::<u64>())
}

/// Moves the scores of a window into the past, or the future.
async fn shift(connection: &mut MultiplexedConnection, namespace: &str, account: AccountId, by: i64) {
    let script = "for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZINCRBY', KEYS[1], ARGV[1], name) end";
    redis::Script::new(script)
        .key(format!("{namespace}:rate:{account}"))
        .arg(by)
        .invoke_async::<()>(connection)
        .await
        .unwrap();
}

struct Shared {
    namespace: String,
    connection: MultiplexedConnection,
    limiters: [Arc<RedisLimiter>; 2],
}

#[async_trait]
impl LimiterFixture for Shared {
    fn limiters(&self) -> [Arc<dyn RateLimiter>; 2] {
        [self.limiters[0].clone(), self.limiters[1].clone()]
    }

    async fn pass(&self, account: AccountId, by: Duration) {
        shift(&mut self.connection.clone(), &self.namespace, account, -i64::try_from(by.as_micros()).unwrap()).await;
    }
}

/// Two gateways on the shared server; their keys expire by themselves.
async fn shared_fixture() -> Shared {
    let (url, namespace) = (shared(), a_namespace());
    let limiters = [limiter(&url, &namespace, PATIENT).await, limiter(&url, &namespace, PATIENT).await];
    Shared { connection: client(&url).await, namespace, limiters }
}

conformance::limiter_suite!(shared_fixture());

#[tokio::test]
async fn a_window_leaves_redis_by_itself() {
    let fixture = shared_fixture().await;
    let account = account();
    fixture.limiters[0].check(account, 5).await.unwrap();
    let key = format!("{}:rate:{account}", fixture.namespace);
    let left: u64 = redis::cmd("PTTL").arg(key).query_async(&mut fixture.connection.clone()).await.unwrap();
    assert!((55_000..=62_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_window_that_is_used_stays() {
    let (fixture, account) = (shared_fixture().await, account());
    let (key, mut connection) = (format!("{}:rate:{account}", fixture.namespace), fixture.connection.clone());
    fixture.limiters[0].check(account, 5).await.unwrap();
    let () = redis::cmd("PEXPIRE").arg(&key).arg(30_000).query_async(&mut connection).await.unwrap();
    fixture.pass(account, Duration::from_secs(1)).await;
    fixture.limiters[1].check(account, 5).await.unwrap();
    let left: u64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
    assert!((55_000..=62_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_server_clock_that_goes_back_neither_opens_nor_closes_the_window() {
    let fixture = shared_fixture().await;
    let account = account();
    for _ in 0..3 {
        assert!(fixture.limiters[0].check(account, 3).await.unwrap().allowed);
    }
    // Two hours back, as far as this window can tell.
    shift(&mut fixture.connection.clone(), &fixture.namespace, account, 7_200_000_000).await;
    let refused = fixture.limiters[1].check(account, 3).await.unwrap();
    assert!(!refused.allowed && refused.retry_after <= WINDOW, "{refused:?}");
    // And a little back: time stands still until it has caught up.
    shift(&mut fixture.connection.clone(), &fixture.namespace, account, 500_000).await;
    let refused = fixture.limiters[1].check(account, 3).await.unwrap();
    assert!(!refused.allowed && refused.retry_after <= WINDOW, "{refused:?}");
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(15);
    while !holds().await {
        assert!(Instant::now() < until, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many of `tries` pass.
async fn passing(limiter: &dyn RateLimiter, account: AccountId, limit: u32, tries: u32) -> u32 {
    let mut passed = 0;
    for _ in 0..tries {
        passed += u32::from(limiter.check(account, limit).await.unwrap().allowed);
    }
    passed
}

#[tokio::test]
async fn a_script_that_was_flushed_is_loaded_again() {
    let server = Server::start().await;
    let limiter = limiter(&server.url(), "son1k", PATIENT).await;
    let account = account();
    assert!(limiter.check(account, 2).await.unwrap().allowed);
    let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut client(&server.url()).await).await.unwrap();
    assert_eq!(limiter.check(account, 2).await.unwrap().remaining, 0);
    let () = redis::cmd("FLUSHALL").query_async(&mut client(&server.url()).await).await.unwrap();
    assert_eq!(limiter.check(account, 2).await.unwrap().remaining, 1, "what Redis lost is lost, and nothing else");
}

#[tokio::test]
async fn a_redis_that_hangs_costs_50_ms_and_then_nothing() {
    let server = Server::start().await;
    let redis = limiter(&server.url(), "son1k", Duration::from_millis(50)).await;
    let limiter = FallbackLimiter::new(redis, 2);
    let account = account();
    until("Redis answers", async || {
        limiter.check(account, 1_000).await.unwrap();
        !limiter.is_alone()
    })
    .await;

    server.signal("STOP");
    let (mut slow, mut unbounded) = (0, 0);
    for _ in 0..200 {
        let started = Instant::now();
        assert!(limiter.check(account, 1_000).await.unwrap().allowed);
        let took = started.elapsed();
        slow += u32::from(took >= Duration::from_millis(50));
        // One or two are this machine's own pauses; without a budget it is each of the five that open the breaker.
        unbounded += u32::from(took >= Duration::from_secs(1));
    }
    assert!(slow <= 10 && unbounded <= 2, "the breaker opens after 5, {slow} waited, {unbounded} without a budget");
    assert!(limiter.is_alone());

    server.signal("CONT");
    until("back by itself", async || !limiter.is_alone()).await;
    assert!(limiter.check(account, 1_000).await.unwrap().allowed);
}

#[tokio::test]
async fn without_redis_a_gateway_allows_its_share_and_tells_redis_later() {
    const LIMIT: u32 = 20;
    let mut server = Server::start().await;
    let redis = limiter(&server.url(), "son1k", FIRM).await;
    let limiter = FallbackLimiter::new(redis, 4);
    let (account, other) = (account(), account());
    assert_eq!(passing(&*limiter, account, LIMIT, 3).await, 3);

    server.kill();
    assert_eq!(passing(&*limiter, account, LIMIT, 50).await, 2, "a quarter of the limit, what passed before counted");
    assert_eq!(passing(&*limiter, other, LIMIT, 50).await, 5);
    assert_eq!(passing(&*limiter, other, 0, 3).await, 0);
    let refused = limiter.check(account, LIMIT).await.unwrap();
    assert_eq!((refused.allowed, refused.limit), (false, LIMIT));
    assert!(refused.retry_after > Duration::from_secs(30) && refused.retry_after <= WINDOW, "{refused:?}");
    assert!(limiter.is_alone());

    // It comes back without its data, and is told all that this gateway remembers, once.
    server.restart().await;
    until("back by itself", async || !limiter.is_alone()).await;
    assert_eq!(passing(&*limiter, account, LIMIT, 50).await, LIMIT - 5);
    assert_eq!(passing(&*limiter, other, LIMIT, 50).await, LIMIT - 5);
}

#[tokio::test]
async fn redis_is_not_asked_again_about_what_it_has_refused() {
    let mut server = Server::start().await;
    let limiter = FallbackLimiter::new(limiter(&server.url(), "son1k", PATIENT).await, 1);
    let (account, mut connection) = (account(), client(&server.url()).await);
    assert_eq!(passing(&*limiter, account, 5, 6).await, 5);
    let calls = async |connection: &mut MultiplexedConnection| {
        let stats: String = redis::cmd("INFO").arg("commandstats").query_async(connection).await.unwrap();
        stats.lines().find(|line| line.starts_with("cmdstat_evalsha")).unwrap().to_owned()
    };
    let before = calls(&mut connection).await;
    let first = limiter.check(account, 5).await.unwrap();
    assert!(!first.allowed && first.retry_after > Duration::from_secs(50) && first.retry_after <= WINDOW, "{first:?}");
    assert_eq!(passing(&*limiter, account, 5, 1_000).await, 0);
    assert_eq!(calls(&mut connection).await, before);
    // Another limit is another question.
    assert_eq!(passing(&*limiter, account, 7, 3).await, 2);
    // And what was refused stays so when Redis has gone with its data.
    server.kill();
    assert_eq!(passing(&*limiter, account, 7, 10).await, 0);
}

#[tokio::test]
async fn a_gateway_starts_without_redis_and_finds_it_later() {
    let mut server = Server::start().await;
    server.kill();
    let redis = limiter(&server.url(), "son1k", Duration::from_millis(50)).await;
    let limiter = FallbackLimiter::new(redis.clone(), 1);
    let account = account();
    assert_eq!(passing(&*limiter, account, 3, 10).await, 3, "never unlimited, never closed");
    let probe = redis.probe();
    assert_eq!((probe.name(), probe.vital()), ("redis", false));
    assert!(probe.check().await.is_err());

    server.restart().await;
    until("found", async || !limiter.is_alone() && probe.check().await.is_ok()).await;
    assert_eq!(passing(&*limiter, account, 3, 10).await, 0);
}

#[tokio::test]
async fn a_switch_adds_at_most_one_limit_over_all_gateways() {
    const LIMIT: u32 = 30;
    let mut server = Server::start().await;
    let mut fleet = Vec::new();
    for _ in 0..3 {
        fleet.push(FallbackLimiter::new(limiter(&server.url(), "son1k", FIRM).await, 3));
    }
    let account = account();
    // One gateway has passed everything; then Redis goes with its data, and comes back empty.
    let mut passed = passing(&*fleet[0], account, LIMIT, 50).await;
    assert_eq!(passed, LIMIT);
    server.kill();
    for gateway in &fleet {
        passed += passing(&**gateway, account, LIMIT, 50).await;
    }
    assert!(passed <= 2 * LIMIT, "{passed}");
    server.restart().await;
    until("all are back", async || fleet.iter().all(|gateway| !gateway.is_alone())).await;
    for gateway in &fleet {
        passed += passing(&**gateway, account, LIMIT, 50).await;
    }
    assert!(passed <= 2 * LIMIT + 3, "{passed}");
}

#[tokio::test]
async fn the_redis_limiter_alone_fails_at_once_and_comes_back_by_a_probe() {
    let mut server = Server::start().await;
    let limiter = limiter(&server.url(), "son1k", Duration::from_millis(50)).await;
    let account = account();
    server.kill();
    for _ in 0..20 {
        assert!(limiter.check(account, 5).await.is_err());
    }
    let started = Instant::now();
    for _ in 0..100 {
        assert!(limiter.check(account, 5).await.is_err());
    }
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}; without the breaker five seconds", started.elapsed());
    server.restart().await;
    until("back by itself", async || limiter.check(account, 5).await.is_ok()).await;
}

#[tokio::test]
async fn what_can_never_work_is_said_at_the_start() {
    let connect =
        async |url: String| RedisLimiter::connect(&SecretString::from(url), PATIENT, 3, PATIENT).await.map(|_| ());
    assert!(matches!(connect("http://localhost".into()).await, Err(ConnectError::Url(_))));
    let server = Server::start().await;
    let () = redis::cmd("CONFIG")
        .arg(&["SET", "requirepass", "right"])
        .query_async(&mut client(&server.url()).await)
        .await
        .unwrap();
    let said = connect(format!("redis://:wrong@127.0.0.1:{}", server.port)).await.unwrap_err();
    assert!(matches!(said, ConnectError::Refused(_)), "{said}");
    assert!(!said.to_string().contains("wrong"), "{said}");
    assert!(matches!(connect(server.url()).await, Err(ConnectError::Refused(_))));
    connect(format!("redis://:right@127.0.0.1:{}", server.port)).await.unwrap();
}
