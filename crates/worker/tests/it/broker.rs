//! Rings on a real broker that are doubled, senseless or never arrive: the ledger decides, and the worker goes on.

use crate::database::server;
use crate::flaky::{Flaky, Losses};
use crate::stage::{Stage, script, settings};
use domain::ids::GenerationId;
use lapin::options::{
    BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions,
    QueueDeleteOptions,
};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use production::rabbitmq::RabbitDoorbell;
use secrecy::SecretString;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// A doorbell with queues of its own, and a hand beside it.
struct Broker {
    namespace: String,
    bell: Arc<RabbitDoorbell>,
    _connection: Connection,
    channel: Channel,
}

impl Broker {
    async fn new() -> Self {
        let namespace = format!("worker{:x}", rand::random::<u64>());
        let url = server("TEST_RABBITMQ_URL");
        let bell = RabbitDoorbell::configured(&SecretString::from(url.clone()), "worker", &namespace).await.unwrap();
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { namespace, bell, _connection: connection, channel }
    }

    fn named(&self, what: &str) -> ShortString {
        format!("{}.{what}", self.namespace).into()
    }

    async fn publish(&self, exchange: &str, key: ShortString, body: &[u8], times: usize) {
        let exchange: ShortString = if exchange.is_empty() { "".into() } else { self.named(exchange) };
        let mut confirms = Vec::new();
        for _ in 0..times {
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            let sent = self.channel.basic_publish(exchange.clone(), key.clone(), options, body, properties);
            confirms.push(sent.await.unwrap());
        }
        for confirm in futures::future::join_all(confirms).await {
            assert!(confirm.unwrap().is_ack());
        }
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !holds().await {
            assert!(Instant::now() < end, "{what}: not in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn clean(self) {
        for what in ["work.v1", "dead.v2"] {
            self.channel.queue_delete(self.named(what), QueueDeleteOptions::default()).await.unwrap();
        }
        for what in ["changes.v1", "notices.v1", "dead.v1"] {
            self.channel.exchange_delete(self.named(what), ExchangeDeleteOptions::default()).await.unwrap();
        }
        self.bell.close().await;
    }
}

async fn on(broker: &Broker) -> (Stage, Arc<Losses>) {
    let mut stage = Stage::new(script(0.2), 5).await;
    let losses = Arc::new(Losses::default());
    stage.backends.work = Arc::new(Flaky { inner: stage.backends.work.clone(), losses: losses.clone() });
    stage.backends.doorbell = broker.bell.clone();
    (stage, losses)
}

const RING: &[u8] = br#"{"v":1,"from":7,"seq":1,"items":[]}"#;

/// Row C10: every ring ten times, and a thousand for work that has long ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doubled_and_late_rings_cause_no_calls() {
    let broker = Broker::new().await;
    let (stage, losses) = on(&broker).await;
    let begun = Instant::now();
    let worker = stage.worker(settings());
    let ids = stage.submit(20).await;
    broker.publish("", broker.named("work.v1"), RING, 200).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    let calls = stage.log().await.len();
    broker.publish("", broker.named("work.v1"), RING, 1_000).await;
    broker.until("all are taken off", async || broker.bell.waiting().await.unwrap().0 == 0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.log().await.len(), calls, "no call of the upstream");
    // Counted from the start, for rings of both floods may be on their way at any moment: one look a ring; for each generation its
    // claim, the repeat of a full one and the ring to a neighbour; and the unrung looks, two a second at most.
    let asked = losses.claims_asked.load(Ordering::SeqCst);
    let (rings, own, unrung) = (1_200, 3 * 20, 2 * begun.elapsed().as_secs() + 2);
    assert!(u64::from(asked) <= rings + own + unrung, "{asked} looks at the ledger");
    assert_eq!(stage.submissions().await.into_values().collect::<Vec<_>>(), [1; 20]);
    stage.assert_all_is_over().await;
    worker.stop().await;
    broker.clean().await;
}

/// Row C11: what makes no sense is laid aside once and counted; nothing is asked of the ledger for what it does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senseless_rings_are_laid_aside_and_the_worker_goes_on() {
    let broker = Broker::new().await;
    let (stage, _) = on(&broker).await;
    let worker = stage.worker(settings());
    let large = vec![b'x'; 10 * 1024 * 1024];
    let random: [u8; 64] = rand::random();
    let senseless: [&[u8]; 5] = [b"", b"\xff\x00garbage", br#"{"v":99,"from":1,"seq":1,"items":[]}"#, &random, &large];
    for body in senseless {
        broker.publish("", broker.named("work.v1"), body, 1).await;
    }
    let laid_aside = async || broker.bell.waiting().await.unwrap() == (0, 5) && broker.bell.counts().refused >= 5;
    broker.until("dead-lettered", laid_aside).await;
    assert_eq!(broker.bell.counts().refused, 5, "each was delivered once");
    // Notices about nobody, and about somebody else's.
    let unknown = GenerationId::from_uuid(uuid::Uuid::from_u128(u128::from(rand::random::<u64>())));
    for kind in ["closing", "called_back"] {
        let notice = format!(r#"{{"v":1,"from":9,"seq":1,"items":[{{"kind":"{kind}","id":"{unknown}"}}]}}"#);
        broker.publish("notices.v1", "".into(), notice.as_bytes(), 10).await;
    }
    broker.publish("notices.v1", "".into(), b"garbage", 3).await;
    let ids = stage.submit(10).await;
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    assert_eq!(stage.calls("cancel").await.len(), 0);
    stage.assert_all_is_over().await;
    worker.stop().await;
    broker.clean().await;
}

/// Row C13: rings that are given back until the broker dead-letters them are lost rings, not lost work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rings_past_their_delivery_limit_lose_no_work() {
    let broker = Broker::new().await;
    let (stage, _) = on(&broker).await;
    // Nobody listens but a consumer that takes each ring and gives it back.
    let ids = stage.submit(10).await;
    let end = Instant::now() + Duration::from_secs(30);
    while broker.bell.waiting().await.unwrap() != (0, 1) {
        assert!(Instant::now() < end, "never dead-lettered");
        if let Some(got) = broker.channel.basic_get(broker.named("work.v1"), BasicGetOptions::default()).await.unwrap()
        {
            got.delivery.nack(BasicNackOptions { requeue: true, ..Default::default() }).await.unwrap();
        }
    }
    let worker = stage.worker(settings());
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    stage.assert_all_is_over().await;
    worker.stop().await;
    broker.clean().await;
}
