//! The RabbitMQ doorbell keeps the contract; and what holds when queues, exchanges, connections and the broker go.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod eater;
mod proxy;

use conformance::doorbell::{Doorbells, change, listening, next, rang};
use domain::ports::Doorbell;
use domain::ports::doorbell::Heard;
use eater::Eater;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use production::rabbitmq::{ConnectError, RabbitDoorbell};
use proxy::{CLOSED, OPEN, Proxy, STALLED};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "tests find their servers by the environment")]
fn shared() -> String {
    std::env::var("TEST_RABBITMQ_URL").expect("TEST_RABBITMQ_URL is not set; run the tests with ./scripts/test")
}

/// One test's queues and exchanges; deleted at its end, however it ends.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        Self(format!("test{:x}", rand::random::<u64>()))
    }

    async fn doorbell(&self, url: &str) -> Arc<RabbitDoorbell> {
        RabbitDoorbell::configured(&SecretString::from(url.to_owned()), "test", &self.0).await.unwrap()
    }

    fn named(&self, what: &str) -> lapin::types::ShortString {
        format!("{}.{what}", self.0).into()
    }

    async fn delete_queue(&self, channel: &Channel, what: &str) {
        channel.queue_delete(self.named(what), QueueDeleteOptions::default()).await.unwrap();
    }

    async fn delete_exchange(&self, channel: &Channel, what: &str) {
        channel.exchange_delete(self.named(what), ExchangeDeleteOptions::default()).await.unwrap();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let clean = async {
            let (_connection, channel) = client().await;
            for what in ["work.v1", "dead.v2"] {
                self.delete_queue(&channel, what).await;
            }
            for what in ["changes.v1", "notices.v1", "dead.v1"] {
                self.delete_exchange(&channel, what).await;
            }
        };
        // A runtime and a thread of its own: the test's may be unwinding.
        std::thread::scope(|scope| {
            scope.spawn(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(clean));
        });
    }
}

/// Another client of the broker: the hand that deletes things.
async fn client() -> (Connection, Channel) {
    let connection = Connection::connect(&shared(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < until, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn fixture() -> Doorbells {
    let namespace = Namespace::new();
    let here = namespace.doorbell(&shared()).await;
    let there = namespace.doorbell(&shared()).await;
    Doorbells { here, there, keep: Box::new(namespace) }
}

conformance::doorbell_suite!(fixture());

#[tokio::test]
async fn a_work_queue_that_was_deleted_is_declared_again_by_the_ring() {
    let namespace = Namespace::new();
    let (_connection, hand) = client().await;
    let bell = namespace.doorbell(&shared()).await;
    bell.ring_workers(None).await.unwrap();
    assert_eq!(bell.waiting().await.unwrap(), (1, 0));
    namespace.delete_queue(&hand, "work.v1").await;
    until("rung", async || bell.ring_workers(None).await.is_ok()).await;
    // One that was given up may have come all the same.
    assert!(bell.waiting().await.unwrap().0 >= 1);
}

#[tokio::test]
async fn a_worker_whose_queue_was_deleted_listens_again() {
    let namespace = Namespace::new();
    let (_connection, hand) = client().await;
    let bell = namespace.doorbell(&shared()).await;
    let mut work = listening(bell.work()).await;
    namespace.delete_queue(&hand, "work.v1").await;
    assert_eq!(next(&mut work).await, Heard::Missed);
    bell.ring_workers(None).await.unwrap();
    rang(&mut work).await;
}

#[tokio::test]
async fn an_exchange_that_was_deleted_is_declared_and_bound_again() {
    let namespace = Namespace::new();
    let (_connection, hand) = client().await;
    let bell = namespace.doorbell(&shared()).await;
    let mut changes = listening(bell.changes()).await;
    namespace.delete_exchange(&hand, "changes.v1").await;
    let heard = async {
        loop {
            bell.ring_gateways(&[change(1)]).await.unwrap();
            if let Ok(heard) = tokio::time::timeout(Duration::from_millis(500), next(&mut changes)).await {
                return heard;
            }
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(20), heard).await.expect("bound again");
    // Those that nobody could hear left a gap, unless it was the first that this listener ever heard of.
    assert!(matches!(heard, Heard::Missed | Heard::Rang(_)));
}

#[tokio::test]
async fn a_ring_that_makes_no_sense_is_laid_aside_and_the_listener_goes_on() {
    let namespace = Namespace::new();
    let (_connection, hand) = client().await;
    let bell = namespace.doorbell(&shared()).await;
    let mut work = listening(bell.work()).await;
    for nonsense in ["", "not json", r#"{"v":99,"from":1,"seq":1,"items":[]}"#] {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = hand.basic_publish("".into(), namespace.named("work.v1"), options, nonsense.as_bytes(), properties);
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    }
    bell.ring_workers(None).await.unwrap();
    rang(&mut work).await;
    assert_eq!(bell.counts().refused, 3);
    until("dead-lettered", async || bell.waiting().await.unwrap() == (0, 3)).await;
}

#[tokio::test]
async fn what_was_laid_aside_is_seen_rung_again_and_dropped() {
    let namespace = Namespace::new();
    let (_connection, hand) = client().await;
    let bell = namespace.doorbell(&shared()).await;
    let work = listening(bell.work()).await;
    let long = "x".repeat(1_000);
    for nonsense in ["twice", "once", "twice", &long] {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = hand.basic_publish("".into(), namespace.named("work.v1"), options, nonsense.as_bytes(), properties);
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    }
    let mut work = work;
    let listens = async {
        loop {
            futures::StreamExt::next(&mut work).await;
        }
    };
    let operates = async {
        until("laid aside", async || bell.dead().await.unwrap() == 4).await;
        // Any number of looks, also at once, changes nothing.
        for _ in 0..30 {
            let (one, other) = tokio::join!(bell.dead_letters(), bell.dead_letters());
            assert!(one.unwrap().len() <= 3 && other.unwrap().len() <= 3);
        }
        until("all are back", async || bell.dead().await.unwrap() == 4).await;
        let letters = bell.dead_letters().await.unwrap();
        assert!(
            letters.is_sorted_by_key(|letter| letter.id) && letters.iter().all(|letter| letter.reason == "rejected")
        );
        assert!(letters.iter().all(|letter| letter.died_at.is_some()));
        let of = |preview: &str| letters.iter().find(|letter| letter.preview.starts_with(preview)).unwrap();
        assert_eq!((of("twice").count, of("once").count, of("xxx").bytes), (2, 1, 1_000));
        assert_eq!(of("xxx").preview.len(), 256);

        assert_eq!(bell.discard_dead(of("once").id).await.unwrap(), 1);
        assert_eq!(bell.discard_dead(of("once").id).await.unwrap(), 0);
        // Nobody understands it this time either.
        let refused = bell.counts().refused;
        assert_eq!(bell.requeue_dead(of("twice").id).await.unwrap(), 2);
        until("laid aside again", async || bell.counts().refused == refused + 2).await;
        until("laid aside again", async || bell.dead().await.unwrap() == 3).await;
    };
    tokio::select! {
        () = listens => {}
        () = operates => {}
    }
}

#[tokio::test]
async fn what_a_full_work_queue_drops_is_not_laid_aside() {
    let namespace = Namespace::new();
    let (_connection, hand) = client().await;
    let bell = namespace.doorbell(&shared()).await;
    for _ in 0..21 {
        let mut confirms = Vec::new();
        for _ in 0..500 {
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            confirms.push(
                hand.basic_publish("".into(), namespace.named("work.v1"), options, b"{}", properties).await.unwrap(),
            );
        }
        futures::future::try_join_all(confirms).await.unwrap();
    }
    until("bounded", async || bell.waiting().await.unwrap() == (10_000, 0)).await;
}

#[tokio::test]
async fn a_listener_that_falls_behind_is_told_and_goes_on() {
    let bells = fixture().await;
    let mut slow = listening(bells.there.changes()).await;
    bells.here.ring_gateways(&[change(1)]).await.unwrap();
    rang(&mut slow).await;
    for version in 2..=1_500 {
        bells.here.ring_gateways(&[change(version)]).await.unwrap();
    }
    let (mut last, mut missed) = (1, 0);
    while last < 1_500 {
        match next(&mut slow).await {
            Heard::Rang(changes) => {
                assert!(changes[0].version > last, "in order");
                last = changes[0].version;
            }
            Heard::Missed => missed += 1,
        }
    }
    assert_eq!(missed, 1, "one gap, told once");
}

#[tokio::test]
async fn a_lost_connection_is_mended_and_every_listener_is_told() {
    let namespace = Namespace::new();
    let proxy = Proxy::start(&shared(), OPEN).await;
    let bell = namespace.doorbell(&proxy.url()).await;
    let (mut work, mut changes) = (listening(bell.work()).await, listening(bell.changes()).await);
    for _ in 0..2 {
        proxy.cut();
        assert_eq!(next(&mut work).await, Heard::Missed);
        assert_eq!(next(&mut changes).await, Heard::Missed);
        until("rings again", async || bell.ring_workers(None).await.is_ok()).await;
        rang(&mut work).await;
        bell.ring_gateways(&[change(7)]).await.unwrap();
        assert_eq!(rang(&mut changes).await[0].version, 7);
    }
}

#[tokio::test]
async fn rings_that_failed_are_noticed_as_missed_by_listeners_elsewhere() {
    let namespace = Namespace::new();
    let proxy = Proxy::start(&shared(), OPEN).await;
    let (bell, elsewhere) = (namespace.doorbell(&proxy.url()).await, namespace.doorbell(&shared()).await);
    let mut changes = listening(elsewhere.changes()).await;
    bell.ring_gateways(&[change(1)]).await.unwrap();
    rang(&mut changes).await;

    proxy.set(CLOSED);
    proxy.cut();
    let probe = bell.probe();
    until("noticed", async || probe.check().await.is_err()).await;
    let failed = bell.ring_gateways(&[change(2)]).await.unwrap_err();
    assert!(!failed.to_string().contains("guest"), "{failed}");

    proxy.set(OPEN);
    until("back", async || probe.check().await.is_ok()).await;
    bell.ring_gateways(&[change(3)]).await.unwrap();
    assert_eq!(next(&mut changes).await, Heard::Missed);
    assert_eq!(rang(&mut changes).await[0].version, 3);
}

#[tokio::test]
async fn a_process_starts_without_the_broker_and_finds_it_later() {
    let namespace = Namespace::new();
    let proxy = Proxy::start(&shared(), CLOSED).await;
    let bell = namespace.doorbell(&proxy.url()).await;
    let probe = bell.probe();
    assert_eq!((probe.name(), probe.vital()), ("rabbitmq", false));
    assert!(probe.check().await.is_err());
    let asked = Instant::now();
    assert!(bell.ring_workers(None).await.is_err());
    assert!(asked.elapsed() < Duration::from_secs(2), "a broker that is away is not waited for");

    let mut work = bell.work();
    proxy.set(OPEN);
    assert_eq!(next(&mut work).await, Heard::Missed);
    bell.ring_workers(None).await.unwrap();
    rang(&mut work).await;
    probe.check().await.unwrap();
}

#[tokio::test]
async fn a_broker_that_hangs_in_the_handshake_holds_nothing_up() {
    let namespace = Namespace::new();
    let proxy = Proxy::start(&shared(), STALLED).await;
    let started = Instant::now();
    let bell = namespace.doorbell(&proxy.url()).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(bell.ring_workers(None).await.is_err());
    proxy.set(OPEN);
    proxy.cut();
    let mut work = listening(bell.work()).await;
    bell.ring_workers(None).await.unwrap();
    rang(&mut work).await;
}

#[tokio::test]
async fn a_broker_that_hangs_costs_two_seconds_and_fails_all_that_wait() {
    let namespace = Namespace::new();
    let proxy = Proxy::start(&shared(), OPEN).await;
    let bell = namespace.doorbell(&proxy.url()).await;
    bell.ring_workers(None).await.unwrap();
    proxy.freeze(true);
    let started = Instant::now();
    let rings = futures::future::join_all((0..50).map(|_| bell.ring_workers(None))).await;
    // All with the one publish that was given its two seconds.
    for ring in rings {
        let said = ring.unwrap_err().to_string();
        assert!(said.ends_with("the broker did not confirm in time"), "{said}");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    proxy.freeze(false);
    until("rings again", async || bell.ring_workers(None).await.is_ok()).await;
}

#[tokio::test]
async fn what_can_never_work_is_said_at_the_start() {
    let connect = async |url: String, namespace: &str| {
        RabbitDoorbell::configured(&SecretString::from(url), "test", namespace).await.map(|_| ())
    };
    assert!(matches!(connect("http://localhost".into(), "son1k").await, Err(ConnectError::Url)));

    let uri: lapin::uri::AMQPUri = shared().parse().unwrap();
    let address = format!("{}:{}", uri.authority.host, uri.authority.port);
    let said = connect(format!("amqp://guest:sesame@{address}"), "son1k").await.unwrap_err();
    assert!(matches!(said, ConnectError::Refused(_)), "{said}");
    assert!(!format!("{said} {said:?}").contains("sesame"), "{said}");
    let elsewhere = connect(format!("{}/no-such-vhost", shared().trim_end_matches('/')), "son1k").await;
    assert!(matches!(elsewhere, Err(ConnectError::Refused(_))), "{elsewhere:?}");

    // A queue of that name with other arguments.
    let namespace = Namespace::new();
    let (_connection, hand) = client().await;
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    hand.queue_declare(namespace.named("work.v1"), options, FieldTable::default()).await.unwrap();
    let mismatch = connect(shared(), &namespace.0).await;
    assert!(matches!(mismatch, Err(ConnectError::Refused(_))), "{mismatch:?}");
}

#[tokio::test]
async fn a_closed_doorbell_says_so() {
    let namespace = Namespace::new();
    let bell = namespace.doorbell(&shared()).await;
    bell.ring_workers(None).await.unwrap();
    bell.close().await;
    assert!(bell.ring_workers(None).await.is_err());
    assert_eq!(bell.probe().check().await, Err("closed".into()));
}

/// Row C12: a broker that takes everything and confirms nothing. Each ring fails in time, nothing piles up, and it ends as it began.
#[tokio::test]
async fn a_broker_that_confirms_nothing_makes_nothing_grow() {
    let namespace = Namespace::new();
    let eater = Eater::before(&shared()).await;
    let bell = namespace.doorbell(&eater.url).await;
    let mut work = listening(namespace.doorbell(&shared()).await.work()).await;
    bell.ring_workers(None).await.unwrap();
    rang(&mut work).await;
    let (memory, channels) = (resident(), eater.channels());

    eater.eats(true);
    let end = Instant::now() + Duration::from_secs(15);
    let mut failed = 0;
    while Instant::now() < end {
        let asked = Instant::now();
        let rings = futures::future::join_all((0..500).map(|_| bell.ring_workers(None))).await;
        assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
        assert!(rings.iter().all(Result::is_err));
        failed += rings.len();
    }
    let grown = resident().saturating_sub(memory);
    assert!(grown < 20 * 1024 * 1024, "{grown} bytes more after {failed} rings, {} confirms eaten", eater.eaten());
    assert!(eater.channels() <= channels + 3, "{} channels, {channels} before", eater.channels());

    eater.eats(false);
    let healed = Instant::now();
    until("rings again", async || bell.ring_workers(None).await.is_ok()).await;
    assert!(healed.elapsed() < Duration::from_secs(5), "{:?}", healed.elapsed());
    rang(&mut work).await;
}

/// Bytes of this process that are in memory: the test has a process of its own.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}
