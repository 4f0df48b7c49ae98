//! Rings that were laid aside, as an operator sees and ends them. The doorbell here is the one of a process, with a drawer beside it; that
//! a broker fills and empties such a drawer is proved where the broker is.

use crate::app::{Actor, App};
use async_trait::async_trait;
use domain::event::{Change, Notice};
use domain::ports::Doorbell;
use domain::ports::doorbell::{DeadLetter, DoorbellError, Rings};
use reqwest::Method;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use uuid::Uuid;

pub(crate) struct LaysAside {
    inner: Arc<dyn Doorbell>,
    drawer: Mutex<Vec<DeadLetter>>,
    /// As a broker that does not answer.
    silent: AtomicBool,
    held: Held,
}

/// The next count takes its sum, says so, and answers when it is told to.
#[derive(Default)]
struct Held {
    asked_for: AtomicBool,
    begun: Notify,
    go: Notify,
}

impl LaysAside {
    pub(crate) fn around(inner: Arc<dyn Doorbell>) -> Arc<Self> {
        Arc::new(Self { inner, drawer: Mutex::default(), silent: AtomicBool::new(false), held: Held::default() })
    }

    pub(crate) fn lays(&self, preview: &str, count: u32) -> Uuid {
        let id = Uuid::from_u128(rand::random());
        let mut drawer = self.drawer.lock().unwrap();
        drawer.push(DeadLetter {
            id,
            reason: "rejected".into(),
            count,
            died_at: domain::Timestamp::from_timestamp(1_800_000_000, 0),
            bytes: preview.len() as u64,
            preview: preview.into(),
        });
        drawer.sort_by_key(|letter| letter.id);
        id
    }

    pub(crate) fn empty(&self) {
        self.drawer.lock().unwrap().clear();
    }

    fn end(&self, id: Uuid) -> Result<u32, DoorbellError> {
        let mut drawer = self.drawer.lock().unwrap();
        let found = drawer.iter().position(|letter| letter.id == id);
        Ok(found.map_or(0, |at| drawer.remove(at).count))
    }
}

#[async_trait]
impl Doorbell for LaysAside {
    async fn ring_workers(&self, trace: Option<&str>) -> Result<(), DoorbellError> {
        self.inner.ring_workers(trace).await
    }

    async fn ring_gateways(&self, changes: &[Change]) -> Result<(), DoorbellError> {
        self.inner.ring_gateways(changes).await
    }

    async fn notify_workers(&self, notices: &[Notice]) -> Result<(), DoorbellError> {
        self.inner.notify_workers(notices).await
    }

    fn work(&self) -> Rings<Option<String>> {
        self.inner.work()
    }

    fn changes(&self) -> Rings<Vec<Change>> {
        self.inner.changes()
    }

    fn notices(&self) -> Rings<Vec<Notice>> {
        self.inner.notices()
    }

    async fn dead(&self) -> Result<u64, DoorbellError> {
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let sum = self.drawer.lock().unwrap().iter().map(|letter| u64::from(letter.count)).sum();
        if self.held.asked_for.swap(false, Ordering::SeqCst) {
            self.held.begun.notify_one();
            self.held.go.notified().await;
        }
        Ok(sum)
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, DoorbellError> {
        if self.silent.load(Ordering::SeqCst) {
            return Err(DoorbellError("the broker does not answer".into()));
        }
        Ok(self.drawer.lock().unwrap().clone())
    }

    async fn requeue_dead(&self, id: Uuid) -> Result<u32, DoorbellError> {
        self.end(id)
    }

    async fn discard_dead(&self, id: Uuid) -> Result<u32, DoorbellError> {
        self.end(id)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_from_before_a_change_is_not_told_after_it() {
    let app = App::start().await;
    let dropped = app.laid_aside.lays("nonsense", 2);
    app.laid_aside.lays("more of it", 3);
    let held = &app.laid_aside.held;
    held.asked_for.store(true, Ordering::SeqCst);
    let fresh = app.another();
    let operator = fresh.operator();
    let asks = operator.get("/admin/v1/queue");
    let drops = async {
        held.begun.notified().await;
        operator.call(Method::DELETE, &format!("/admin/v1/queue/dead/{dropped}")).send().await.is(204);
        held.go.notify_one();
    };
    tokio::join!(asks, drops);
    assert_eq!(operator.get("/admin/v1/queue").await.body["dead"], 3);
}

/// A count may be two seconds old.
async fn counted(operator: &Actor, dead: u64) {
    let end = Instant::now() + Duration::from_secs(10);
    while operator.get("/admin/v1/queue").await.body["dead"] != dead {
        assert!(Instant::now() < end, "they are not counted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_counted_shown_rung_again_and_dropped() {
    let app = App::start().await;
    let operator = app.operator();
    for number in 0..3 {
        app.laid_aside.lays(&format!("nonsense {number}"), 2);
    }
    counted(&operator, 6).await;
    // Page by page, each once.
    let first = operator.get("/admin/v1/queue/dead?limit=2").await;
    assert_eq!((first.body["data"].as_array().unwrap().len(), &first.body["has_more"]), (2, &json!(true)));
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = operator.get(&format!("/admin/v1/queue/dead?limit=2&cursor={cursor}")).await;
    assert_eq!((second.body["data"].as_array().unwrap().len(), &second.body["has_more"]), (1, &json!(false)));
    let id = |at: usize| first.body["data"][at]["id"].as_str().unwrap().to_owned();
    assert_ne!(second.body["data"][0]["id"], json!(id(1)));

    let again = operator.post(&format!("/admin/v1/queue/dead/{}/requeue", id(0))).send().await;
    assert_eq!((again.status.as_u16(), &again.body["requeued"]), (200, &json!(2)));
    // An operator who has just ended some sees it at once.
    assert_eq!(operator.get("/admin/v1/queue").await.body["dead"], 4);
    operator.call(Method::DELETE, &format!("/admin/v1/queue/dead/{}", id(1))).send().await.is(204);
    assert_eq!(operator.get("/admin/v1/queue").await.body["dead"], 2);
    for (method, path) in [
        (Method::POST, format!("/admin/v1/queue/dead/{}/requeue", id(0))),
        (Method::DELETE, format!("/admin/v1/queue/dead/{}", id(1))),
        (Method::DELETE, "/admin/v1/queue/dead/nonsense".to_owned()),
    ] {
        operator.call(method, &path).send().await.is_problem(404, "not_found");
    }
    let trail = operator.get("/admin/v1/audit").await;
    assert!(trail.text.contains("dead.requeue") && trail.text.contains("dead.discard"));
    app.customer(domain::tier::Tier::Pro).await.get("/admin/v1/queue/dead").await.is_problem(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_does_not_answer_the_last_count_is_told() {
    let app = App::start().await;
    let operator = app.operator();
    app.laid_aside.lays("nonsense", 5);
    counted(&operator, 5).await;
    app.laid_aside.silent.store(true, Ordering::SeqCst);
    // Past what was kept of the count.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let queue = operator.get("/admin/v1/queue").await;
    assert_eq!((queue.status.as_u16(), &queue.body["dead"]), (200, &json!(5)));
    operator.get("/admin/v1/queue/dead").await.is_problem(503, "unavailable");
}
