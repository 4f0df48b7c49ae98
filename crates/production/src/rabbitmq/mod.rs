//! The doorbell on RabbitMQ 3.10 to 4.x.
//!
//! A ring carries ids and is never the only trace of anything: the ledger has the truth. So nothing here waits for the broker longer than
//! two seconds, a broker that is away degrades a process and never stops it, and whoever may have missed a ring is told so.
//!
//! Recovery is our own rather than lapin's: after a loss everything is opened anew on a new connection, so that each listener knows
//! of it, and so that what lapin does not recover (a closed channel, a deleted queue) takes the same path as what it does.

mod dead;
mod link;
mod listener;
mod message;
mod publisher;
mod topology;

use async_trait::async_trait;
use dead::Fate;
use domain::event::{Change, Notice};
use domain::ports::doorbell::{DeadLetter, DoorbellError, Heard, Rings};
use domain::ports::{Doorbell, Probe};
use futures::StreamExt;
use lapin::uri::AMQPUri;
use link::Link;
use listener::Listener;
use message::Ring;
use publisher::Publisher;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use topology::{Route, Topology};
use uuid::Uuid;

/// Why the doorbell cannot start. That the broker is out of reach is no reason.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The text does not repeat the URL: it may hold a password.
    #[error("not an AMQP URL of the form amqp[s]://[user:password@]host[:port][/vhost]")]
    Url,
    /// The broker answered, and would not: the credentials, the virtual host, or a queue that exists with other arguments.
    #[error("RabbitMQ refused: {0}")]
    Refused(String),
}

/// What a doorbell has done so far. For the metric `son1k_rings_total`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RingCounts {
    /// Messages the broker has confirmed; one may stand for many rings.
    pub sent: u64,
    pub failed: u64,
    pub heard: u64,
    /// How often a listener was told that rings may have been lost.
    pub missed: u64,
    /// Messages that made no sense.
    pub refused: u64,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
    heard: AtomicU64,
    missed: AtomicU64,
    refused: AtomicU64,
}

pub struct RabbitDoorbell {
    link: Arc<Link>,
    work: Publisher<()>,
    changes: Publisher<Change>,
    notices: Publisher<Notice>,
}

impl RabbitDoorbell {
    /// Connects in the background and for ever; the first attempt is awaited for five seconds, so that a broker which is there and refuses is
    /// an error at the start. `name` is what the broker shows of this connection.
    pub async fn connect(url: &SecretString, name: &str) -> Result<Arc<Self>, ConnectError> {
        Self::configured(url, name, "son1k").await
    }

    /// As [`RabbitDoorbell::connect`], with the prefix of all queues and exchanges.
    pub async fn configured(url: &SecretString, name: &str, namespace: &str) -> Result<Arc<Self>, ConnectError> {
        let mut uri: AMQPUri = url.expose_secret().parse().map_err(|_said| ConnectError::Url)?;
        // `amqp://host/` names the empty virtual host to the letter; nobody means it.
        if uri.vhost.is_empty() {
            uri.vhost = "/".into();
        }
        // A broker that hangs is noticed after two of them.
        uri.query.heartbeat.get_or_insert(5);
        let link = Link::start(uri, name, Topology::new(namespace)).await?;
        Ok(Arc::new(Self {
            work: Publisher::start(&link, Route::Work),
            changes: Publisher::start(&link, Route::Changes),
            notices: Publisher::start(&link, Route::Notices),
            link,
        }))
    }

    /// For `/readyz`: named `rabbitmq`, not vital.
    pub fn probe(&self) -> Arc<dyn Probe> {
        Arc::new(Connected(Arc::clone(&self.link)))
    }

    pub fn counts(&self) -> RingCounts {
        let counts = &self.link.counts;
        RingCounts {
            sent: counts.sent.load(Ordering::Relaxed),
            failed: counts.failed.load(Ordering::Relaxed),
            heard: counts.heard.load(Ordering::Relaxed),
            missed: counts.missed.load(Ordering::Relaxed),
            refused: counts.refused.load(Ordering::Relaxed),
        }
    }

    /// How many rings wait for a worker, and how many were laid aside because they made no sense.
    pub async fn waiting(&self) -> Result<(u32, u32), DoorbellError> {
        self.link.waiting().await.map_err(DoorbellError)
    }

    /// Closes the connection. Rings fail from then on; listeners hear nothing more.
    pub async fn close(&self) {
        self.link.close().await;
    }

    /// `said`: what of a ring the port's listener is told.
    fn listen<T, R>(&self, route: Route, said: fn(Ring<T>) -> R) -> Rings<R>
    where
        T: message::Item,
        R: Send + 'static,
    {
        let rings = Listener::new(Arc::clone(&self.link), route).into_stream();
        rings
            .map(move |heard| match heard {
                Heard::Rang(ring) => Heard::Rang(said(ring)),
                Heard::Missed => Heard::Missed,
            })
            .boxed()
    }
}

impl Drop for RabbitDoorbell {
    fn drop(&mut self) {
        // Ends the tasks behind it; the connection goes with the last listener.
        self.link.closing.cancel();
    }
}

#[async_trait]
impl Doorbell for RabbitDoorbell {
    async fn ring_workers(&self, trace: Option<&str>) -> Result<(), DoorbellError> {
        self.work.ring(Vec::new(), trace.map(str::to_owned)).await
    }

    async fn ring_gateways(&self, changes: &[Change]) -> Result<(), DoorbellError> {
        for ring in changes.chunks(publisher::ITEMS) {
            self.changes.ring(ring.to_vec(), None).await?;
        }
        Ok(())
    }

    async fn notify_workers(&self, notices: &[Notice]) -> Result<(), DoorbellError> {
        for ring in notices.chunks(publisher::ITEMS) {
            self.notices.ring(ring.to_vec(), None).await?;
        }
        Ok(())
    }

    fn work(&self) -> Rings<Option<String>> {
        self.listen(Route::Work, |ring: Ring<()>| ring.trace)
    }

    fn changes(&self) -> Rings<Vec<Change>> {
        self.listen(Route::Changes, |ring| ring.items)
    }

    fn notices(&self) -> Rings<Vec<Notice>> {
        self.listen(Route::Notices, |ring| ring.items)
    }

    async fn dead(&self) -> Result<u64, DoorbellError> {
        Ok(self.waiting().await?.1.into())
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, DoorbellError> {
        dead::list(&self.link).await.map_err(DoorbellError)
    }

    async fn requeue_dead(&self, id: Uuid) -> Result<u32, DoorbellError> {
        dead::end(&self.link, id, Fate::Requeued).await.map_err(DoorbellError)
    }

    async fn discard_dead(&self, id: Uuid) -> Result<u32, DoorbellError> {
        dead::end(&self.link, id, Fate::Discarded).await.map_err(DoorbellError)
    }
}

struct Connected(Arc<Link>);

#[async_trait]
impl Probe for Connected {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn vital(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<(), String> {
        let session = self.0.session()?;
        if session.blocked() { Err("the broker blocks publishers".into()) } else { Ok(()) }
    }
}
