//! RabbitMQ killed, frozen, full, parted and wiped: submissions go on throughout, and nothing is lost.
//!
//! C6 of the list is not here as it was written there: without a broker only the bounds of the backlog refuse, so every row says it.

use super::load::{Offered, longest_wait, offers};
use super::servers::Servers;
use super::tell;
use crate::system::{Customer, Proxy, Signal, TestApp, until};
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};

const PER_SECOND: u32 = 20;

struct Stage {
    app: TestApp,
    customer: Customer,
    servers: Servers,
    proxy: Proxy,
    urls: Vec<String>,
}

impl Stage {
    /// The system on a broker of its own, through a proxy that can lead elsewhere.
    async fn of(nodes: u8) -> Self {
        let (servers, urls) = Servers::broker(nodes).await;
        let (through, proxy) = Proxy::before_url(&urls[0]).await;
        let app = TestApp::production().setting("RABBITMQ_URL", &through).start().await;
        app.upstream.renders_in(0.5).await;
        let customer = app.operator.opens_unlimited_account().await;
        Self { app, customer, servers, proxy, urls }
    }

    /// Submits throughout `fault`, and then until the queue is empty. Answers how long that took.
    async fn holds(&self, longest: Duration, fault: impl Future<Output = ()>) -> (Offered, Duration) {
        let (offered, ()) = tokio::join!(offers(&self.customer, PER_SECOND, longest), fault);
        let ended = Instant::now();
        self.app.operator.sees_the_queue_empty(Duration::from_secs(30)).await;
        let drained = ended.elapsed();
        assert_eq!(offered.at_once, offered.offered, "submissions are accepted throughout: {offered:?}");
        assert!(offered.slowest < Duration::from_secs(2), "{:?}", offered.slowest);
        self.customer.has_all_of(&offered.ids).await;
        let submissions = self.app.upstream.submissions().await;
        assert!(submissions.values().all(|count| *count == 1), "nothing was submitted twice");
        self.app.operator.proves_the_books().await;
        (offered, drained)
    }

    async fn summary(&self, row: &str, (offered, drained): &(Offered, Duration), more: &str) {
        let numbers = format!(
            "{} of {} accepted by their first call, slowest {:.2} s, longest wait for a claim {:.1} s, drained {:.1} s after the end{more}",
            offered.at_once,
            offered.offered,
            offered.slowest.as_secs_f64(),
            longest_wait(&self.customer).await,
            drained.as_secs_f64(),
        );
        tell(row, &numbers);
    }

    /// What the gateway says of itself.
    async fn status(&self) -> String {
        let answer = reqwest::get(format!("{}/readyz", self.app.url)).await.unwrap();
        assert_eq!(answer.status(), 200, "the gateway can do its work");
        let said: serde_json::Value = answer.json().await.unwrap();
        said["status"].as_str().unwrap().to_owned()
    }

    async fn becomes(&self, status: &str, longest: Duration) -> Duration {
        let begun = Instant::now();
        until(&format!("/readyz says {status}"), longest, async || (self.status().await == status).then_some(())).await;
        begun.elapsed()
    }

    async fn consumers_of_work(&self) -> usize {
        let list = self.servers.told("ctl", &["1", "list_consumers", "queue_name"]).await;
        list.lines().filter(|line| line.contains("son1k.work")).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn c1_the_only_node_is_killed_and_comes_back() {
    let stage = Stage::of(1).await;
    let fault = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stage.servers.told("kill", &["1"]).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        stage.servers.told("begin", &["1"]).await;
    };
    let held = stage.holds(Duration::from_secs(40), fault).await;
    let back = stage.becomes("ok", Duration::from_secs(15)).await;
    stage.summary("C1", &held, &format!(", found again {:.1} s after the end", back.as_secs_f64())).await;
    stage.app.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn c2_the_leader_of_three_is_killed() {
    let stage = Stage::of(3).await;
    let leaders = stage.servers.told("ctl", &["1", "list_queues", "name", "leader", "--no-table-headers"]).await;
    let leader = leaders.lines().find(|line| line.starts_with("son1k.work")).unwrap().to_owned();
    let leader = (1..=3).find(|n| leader.contains(&format!("r{n}@"))).unwrap();
    let fault = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stage.servers.told("kill", &[&leader.to_string()]).await;
        stage.proxy.points_at(&stage.urls[leader % 3]);
    };
    let held = stage.holds(Duration::from_secs(25), fault).await;
    assert!(longest_wait(&stage.customer).await < 10.0);
    stage.becomes("ok", Duration::from_secs(10)).await;
    stage.summary("C2", &held, "").await;
    stage.app.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn c3_the_node_in_use_is_parted_from_the_majority() {
    let stage = Stage::of(3).await;
    let fault = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stage.servers.told("part", &["1"]).await;
        stage.proxy.points_at(&stage.urls[1]);
    };
    let held = stage.holds(Duration::from_secs(40), fault).await;
    assert!(longest_wait(&stage.customer).await < 20.0);
    let back = stage.becomes("ok", Duration::from_secs(30)).await;
    stage.summary("C3", &held, &format!(", with the majority {:.1} s after the end", back.as_secs_f64())).await;
    stage.app.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn c4_alarms_of_memory_and_disk() {
    let stage = Stage::of(1).await;
    let alarms: [(&[&str], &[&str]); 2] = [
        (&["1", "set_vm_memory_high_watermark", "absolute", "1"], &["1", "set_vm_memory_high_watermark", "0.4"]),
        (&["1", "set_disk_free_limit", "100000GB"], &["1", "set_disk_free_limit", "50MB"]),
    ];
    let mut beside = PgConnection::connect(stage.app.database_url()).await.unwrap();
    let mut oldest = 0.0_f64;
    let fault = async {
        for (raise, lower) in alarms {
            stage.servers.told("ctl", raise).await;
            stage.becomes("degraded", Duration::from_secs(15)).await;
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(25) {
                let age: Option<f64> = sqlx::query_scalar(
                    "select max(extract(epoch from now() - xact_start))::float8 from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid()",
                )
                .fetch_one(&mut beside)
                .await
                .unwrap();
                oldest = oldest.max(age.unwrap_or(0.0));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            stage.servers.told("ctl", lower).await;
            stage.becomes("ok", Duration::from_secs(15)).await;
        }
    };
    let held = stage.holds(Duration::from_secs(75), fault).await;
    assert!(oldest < 5.0, "a transaction of {oldest} s");
    stage.summary("C4", &held, &format!(", oldest transaction {oldest:.2} s")).await;
    drop(beside);
    stage.app.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn c5_a_broker_that_hangs_for_a_minute() {
    let mut stage = Stage::of(1).await;
    stage.servers.told("freeze", &["1"]).await;
    let frozen = Instant::now();
    let (detected, held) = {
        let stage = &stage;
        let detects = async { stage.becomes("degraded", Duration::from_secs(15)).await };
        let mut detected = Duration::ZERO;
        let fault = async { detected = detects.await };
        let held = stage.holds(Duration::from_secs(45), fault).await;
        (detected, held)
    };
    // Whoever is told to go while it hangs still goes.
    let told = Instant::now();
    stage.app.process("worker-3").signal(Signal::Terminate);
    let status = stage.app.process("worker-3").ended(Duration::from_secs(17)).await;
    let took = told.elapsed();
    assert!(status.success(), "{status}");
    stage.app.forgets("worker-3");
    tokio::time::sleep(Duration::from_secs(60).saturating_sub(frozen.elapsed())).await;
    stage.servers.told("thaw", &["1"]).await;
    let back = stage.becomes("ok", Duration::from_secs(30)).await;
    let more = format!(
        ", detected after {:.1} s, a worker went within {:.1} s meanwhile, found again after {:.1} s",
        detected.as_secs_f64(),
        took.as_secs_f64(),
        back.as_secs_f64()
    );
    stage.summary("C5", &held, &more).await;
    stage.app.stops().await;
}

/// A ring is acknowledged on receipt, so no job, however slow, keeps one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn c7_slow_jobs_and_a_consumer_timeout_of_eight_seconds() {
    let stage = Stage::of(1).await;
    assert_eq!(stage.consumers_of_work().await, 3);
    stage.app.upstream.behaves(serde_json::json!({"latency_ms": 20_000})).await;
    let ids = stage.customer.submits_many(50).await;
    until("all of them wait for the upstream", Duration::from_secs(20), async || {
        (stage.app.operator.queue().await.active == 50).then_some(())
    })
    .await;
    // Past the timeout and the broker's next look.
    tokio::time::sleep(Duration::from_secs(14)).await;
    let consumers = stage.consumers_of_work().await;
    assert_eq!(consumers, 3);
    stage.app.upstream.behaves(serde_json::json!({"latency_ms": 20})).await;
    stage.app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    stage.customer.has_all_of(&ids).await;
    let attempts = stage.customer.lists(None).await.iter().map(|generation| generation.attempts).max().unwrap();
    assert_eq!(attempts, 1);
    assert!(stage.app.upstream.submissions().await.values().all(|count| *count == 1));
    tell("C7", "50 jobs of 20 s: 3 of 3 consumers stayed, 1 attempt and 1 call each");
    stage.app.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "scripts/chaos runs it"]
async fn c9_the_broker_forgets_everything() {
    let stage = Stage::of(1).await;
    stage.app.operator.client.admin().pause().await.unwrap();
    let ids = stage.customer.submits_many(5_000).await;
    stage.servers.told("kill", &["1"]).await;
    stage.servers.told("wipe", &["1"]).await;
    stage.servers.told("begin", &["1"]).await;
    stage.app.operator.client.admin().resume().await.unwrap();
    let begun = Instant::now();
    stage.app.operator.sees_the_queue_empty(Duration::from_secs(120)).await;
    let drained = begun.elapsed();
    stage.becomes("ok", Duration::from_secs(15)).await;
    stage.customer.has_all_of(&ids).await;
    assert!(stage.app.upstream.submissions().await.values().all(|count| *count == 1));
    stage.app.operator.proves_the_books().await;
    tell("C9", &format!("5,000 accepted, the broker wiped: all of them ended within {:.0} s", drained.as_secs_f64()));
    stage.app.stops().await;
}
