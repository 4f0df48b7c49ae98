//! Limits are exact over several gateways while Redis answers, and bounded, never unlimited and never closed, while it does not.

mod attackers;
mod long_attack;

use crate::system::{Customer, Signal, TestApp, until};
use attackers::{Answer, Connection, passed, together, worst_window};
use domain::account::Overrides;
use domain::ids::AccountId;
use domain::tier::Tier;
use secrecy::SecretString;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LIMIT: usize = 200;

struct Gateways {
    app: TestApp,
    urls: Vec<String>,
}

impl Gateways {
    /// Two that know of each other. The second one's clock is two hours ahead where libfaketime is installed.
    ///
    /// `patience` is how long they wait for Redis: the machine that runs the stories may be busy, and must not be taken for a slow Redis.
    async fn two(patience: Duration) -> Self {
        let app =
            TestApp::production().with_a_redis_of_its_own().setting("REDIS_ANSWER_TIMEOUT", &patience.as_millis());
        let mut app = app.start().await;
        let skew = faketime().map(|library| [("LD_PRELOAD", library), ("FAKETIME", "+7200".to_owned())]);
        let settings: Vec<_> = skew.iter().flatten().map(|(name, value)| (*name, value.as_str())).collect();
        if settings.is_empty() {
            #[expect(clippy::print_stderr, reason = "what a test leaves out, it says")]
            let () = eprintln!("faketime is not installed: both gateways' clocks are right");
        }
        let second = app.starts_gateway("gateway-2", &settings).await;
        let urls = vec![app.url.clone(), second];
        Self { app, urls }
    }

    async fn opens_account(&self, limit: usize) -> (AccountId, Customer) {
        let limit = u32::try_from(limit).unwrap();
        let overrides = Overrides { requests_per_minute: Some(limit), ..Overrides::default() };
        let (account, customer) = self.app.operator.opens_account(Tier::Premium, Some(overrides)).await;
        (account.id, customer)
    }

    /// An account's only key.
    async fn hands_out_a_key(&self, limit: usize) -> SecretString {
        self.opens_account(limit).await.1.key
    }

    /// So many for the account with this key, and one to each for somebody who is always let through: of what it has refused,
    /// a gateway does not ask Redis again.
    async fn connections(&self, count: usize, attacked: SecretString) -> Vec<Connection> {
        let modest = self.hands_out_a_key(1_000_000).await;
        let mut connections = Connection::many(count, &self.urls, &[attacked]);
        connections.extend(Connection::many(2, &self.urls, &[modest]).into_iter().map(Connection::modest));
        connections
    }

    /// What `son1k_rate_limiter_fallback` says on each.
    async fn fallen_back(&self) -> Vec<bool> {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut each = Vec::new();
        for url in &self.urls {
            let text = http.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
            let line = text.lines().find(|line| line.starts_with("son1k_rate_limiter_fallback"));
            each.push(line.unwrap().ends_with(" 1"));
        }
        each
    }

    async fn until_fallen_back(&self, wanted: [bool; 2]) {
        until(&format!("fallback {wanted:?}"), Duration::from_secs(20), async || {
            (self.fallen_back().await == wanted).then_some(())
        })
        .await;
    }

    /// Sends `count` one after another to each gateway; how many passed on each.
    async fn share_of_each(&self, key: &SecretString, count: usize) -> Vec<usize> {
        let mut shares = Vec::new();
        for url in &self.urls {
            let connection = Connection::new(url, key);
            let mut share = 0;
            for _ in 0..count {
                share += usize::from(connection.knocks().await.passed());
            }
            shares.push(share);
        }
        shares
    }
}

/// The library that `faketime` preloads.
fn faketime() -> Option<String> {
    let output = Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output().ok()?;
    let library = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!library.is_empty()).then_some(library)
}

fn only(answers: &[Answer], statuses: &[u16]) {
    let others: Vec<_> =
        answers.iter().map(|answer| answer.status).filter(|status| !statuses.contains(status)).collect();
    assert!(others.is_empty(), "{others:?}");
}

/// Sends `total` over `connections`, all at once.
async fn storm(connections: Vec<Connection>, total: usize, path: &'static str) -> Vec<Answer> {
    let count = connections.len();
    together(connections, move |number, connection| async move {
        let share = total / count + usize::from(number < total % count);
        let mut answers = Vec::with_capacity(share);
        for _ in 0..share {
            answers.push(connection.asks(path).await);
        }
        answers
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_limit_passes_and_who_waits_as_told_is_accepted() {
    let gateways = Gateways::two(Duration::from_secs(1)).await;
    let (id, customer) = gateways.opens_account(LIMIT).await;
    let second = gateways.app.operator.hands_key_to(id).await;
    // What opened the connections and made the keys known does not count.
    let patient = gateways.hands_out_a_key(3).await;

    let began = Instant::now();
    let connections = Connection::many(64, &gateways.urls, &[customer.key, second.key]);
    let answers = storm(connections, 2_000, "/v1/account").await;
    assert!(began.elapsed() < Duration::from_secs(59), "all within one window: {:?}", began.elapsed());
    only(&answers, &[200, 429]);
    assert_eq!(passed(&answers), LIMIT, "of 2,000, over two keys and two gateways");
    assert_eq!(gateways.fallen_back().await, [false, false]);
    let lowest = answers.iter().filter(|answer| answer.passed()).map(|answer| answer.number("x-ratelimit-remaining"));
    assert_eq!(lowest.min(), Some(0));

    // Three pass, at moments of their own; the fourth is told when the first of them leaves the window.
    let here_and_there: Vec<_> = gateways.urls.iter().map(|url| Connection::new(url, &patient)).collect();
    for connection in [&here_and_there[0], &here_and_there[1], &here_and_there[0]] {
        assert_eq!(connection.knocks().await.status, 404);
    }
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for connection in &here_and_there {
        let asked = clock();
        let refused = connection.knocks().await;
        assert_eq!(refused.status, 429);
        let (wait, at) = (refused.number("retry-after"), refused.number("x-ratelimit-reset"));
        assert!((40..=60).contains(&wait), "{wait}");
        let now = clock();
        assert!(
            (asked + wait - 3..=now + wait + 3).contains(&at),
            "a gateway's own clock is not what it tells the time by: {at} at {now}"
        );
    }
    let refused = here_and_there[1].knocks().await;
    tokio::time::sleep(Duration::from_secs(refused.number("retry-after"))).await;
    assert_eq!(here_and_there[0].knocks().await.status, 404, "whoever waits as told is accepted");
    gateways.app.stops().await;
}

/// Frozen, then killed with all that it knew, and started again, under constant fire.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_frozen_and_killed_in_the_middle() {
    let mut gateways = Gateways::two(Duration::from_millis(200)).await;
    let attacked = gateways.hands_out_a_key(LIMIT).await;
    // The gateways learn of each other.
    tokio::time::sleep(Duration::from_secs(4)).await;

    let (over, is_over) = tokio::sync::watch::channel(false);
    let connections = gateways.connections(8, attacked).await;
    let fire = move |_, connection: Connection| {
        let is_over = is_over.clone();
        async move {
            let mut answers = Vec::new();
            while !*is_over.borrow() {
                answers.push(connection.knocks().await);
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
            answers
        }
    };
    let attack = together(connections, fire);
    let outage = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let frozen = Instant::now();
        gateways.app.redis().signal(Signal::Freeze);
        gateways.until_fallen_back([true, true]).await;
        let newcomer = gateways.hands_out_a_key(LIMIT).await;
        assert_eq!(
            gateways.share_of_each(&newcomer, LIMIT).await,
            [LIMIT / 2; 2],
            "each its share, while it is frozen"
        );
        tokio::time::sleep(Duration::from_secs(3)).await;
        gateways.app.redis().kill();
        let newcomer = gateways.hands_out_a_key(LIMIT).await;
        assert_eq!(gateways.share_of_each(&newcomer, LIMIT).await, [LIMIT / 2; 2], "and while it is gone");
        tokio::time::sleep(Duration::from_secs(3)).await;
        gateways.app.redis().starts_again().await;
        gateways.until_fallen_back([false, false]).await;
        let back = Instant::now();
        let newcomer = gateways.hands_out_a_key(LIMIT).await;
        let connections = Connection::many(8, &gateways.urls, std::slice::from_ref(&newcomer));
        let answers = storm(connections, 2 * LIMIT, "/v1/nothing").await;
        assert_eq!(passed(&answers), LIMIT, "exact again");
        over.send_replace(true);
        (frozen, back)
    };
    let (answers, (frozen, back)) = tokio::join!(attack, outage);

    only(&answers, &[404, 429]);
    assert!(answers.iter().all(|answer| answer.passed() || !answer.modest), "never closed");
    let (passes, worst) = (passed(&answers), worst_window(&answers));
    assert!(worst <= 2 * LIMIT + 2, "twice the limit and the number of gateways: {worst}");
    let slowest = |during: bool| {
        let within = answers.iter().filter(|answer| (frozen..back).contains(&answer.sent) == during);
        within.map(Answer::took).max().unwrap()
    };
    let (usual, meanwhile) = (slowest(false), slowest(true));
    eprintln!(
        "{} answers in {:?} without Redis: {passes} passed, worst window {worst}; slowest {meanwhile:?}, else {usual:?}",
        answers.len(),
        back - frozen
    );
    // Redis is given its 200 ms thrice at most, where the gateway itself was held up.
    assert!(meanwhile < usual + Duration::from_millis(3 * 200 + 100), "{meanwhile:?}, else {usual:?}");
    gateways.app.stops().await;
}
