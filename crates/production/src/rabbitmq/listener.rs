//! One kind of rings, heard: for as long as the stream is kept, over any number of connections.
//!
//! It goes only as fast as it is polled. What it does not take in time the broker drops, oldest first, and the numbers tell.

use super::link::{Link, PATIENCE, Session, backoff};
use super::message::{self, Item, Ring};
use super::topology::Route;
use domain::ports::doorbell::Heard;
use futures::{Stream, StreamExt, stream};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Consumer};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How often a listener says again what it is bound to: so long it may be deaf after an exchange was deleted.
const BIND_EVERY: Duration = Duration::from_secs(5);
/// What telling the broker that a ring was heard may take.
const ACK: Duration = Duration::from_secs(2);

pub(super) struct Listener<T> {
    link: Arc<Link>,
    route: Route,
    open: Option<Open>,
    delay: Duration,
    /// Heard, and to be told after [`Heard::Missed`].
    kept: Option<Ring<T>>,
}

struct Open {
    session: Arc<Session>,
    channel: Channel,
    consumer: Consumer,
    queue: ShortString,
    bind_at: Instant,
    heard: message::Heard,
}

impl<T: Item> Listener<T> {
    pub(super) fn new(link: Arc<Link>, route: Route) -> Self {
        Self { link, route, open: None, delay: Duration::ZERO, kept: None }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Heard<Ring<T>>> + Send {
        stream::unfold(self, |mut listener| async move { Some((listener.next().await, listener)) })
    }

    async fn next(&mut self) -> Heard<Ring<T>> {
        if let Some(ring) = self.kept.take() {
            return Heard::Rang(ring);
        }
        let link = Arc::clone(&self.link);
        let counts = &link.counts;
        loop {
            let Some(open) = &mut self.open else {
                self.open = Some(self.listen().await);
                counts.missed.fetch_add(1, Ordering::Relaxed);
                return Heard::Missed;
            };
            let ring = tokio::select! {
                delivery = open.consumer.next() => match delivery {
                    Some(Ok(delivery)) => take::<T>(delivery).await,
                    // Closed by the broker, or with the connection. Polling such a consumer again would hang.
                    Some(Err(_)) | None => {
                        open.session.look();
                        self.open = None;
                        continue;
                    }
                },
                () = open.session.lost() => {
                    self.open = None;
                    continue;
                }
                () = sleep_until(open.bind_at), if self.route != Route::Work => {
                    if open.bind_again(&link, self.route).await.is_none() {
                        self.open = None;
                    }
                    continue;
                }
            };
            let Some(ring) = ring else {
                counts.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(route = ?self.route, "heard a ring that makes no sense");
                continue;
            };
            counts.heard.fetch_add(1, Ordering::Relaxed);
            // Work rings are shared among workers: each sees gaps, and they mean nothing.
            if self.route == Route::Work || open.heard.follows(&ring) {
                return Heard::Rang(ring);
            }
            counts.missed.fetch_add(1, Ordering::Relaxed);
            self.kept = Some(ring);
            return Heard::Missed;
        }
    }

    /// Opens a channel and a consumer on the session of the moment; goes on until it has.
    async fn listen(&mut self) -> Open {
        loop {
            sleep(self.delay).await;
            let session = self.link.next_session().await;
            let opened = timeout(PATIENCE, async {
                let channel = session.channel().await?;
                // What was deleted meanwhile is declared again: so it is mended by whoever notices first.
                self.link.topology.declare(&channel).await?;
                let (consumer, queue) = self.link.topology.consume(&channel, self.route).await?;
                Ok::<_, lapin::Error>((channel, consumer, queue))
            });
            match opened.await {
                Ok(Ok((channel, consumer, queue))) => {
                    self.delay = Duration::ZERO;
                    let (bind_at, heard) = (Instant::now() + BIND_EVERY, message::Heard::default());
                    return Open { session, channel, consumer, queue, bind_at, heard };
                }
                Ok(Err(error)) => tracing::debug!(%error, route = ?self.route, "cannot listen; trying on"),
                Err(_late) => tracing::debug!(route = ?self.route, "the broker does not answer; trying on"),
            }
            session.look();
            self.delay = backoff(self.delay);
        }
    }
}

impl Open {
    async fn bind_again(&mut self, link: &Link, route: Route) -> Option<()> {
        self.bind_at = Instant::now() + BIND_EVERY;
        let bound = timeout(PATIENCE, async {
            link.topology.declare(&self.channel).await?;
            link.topology.bind(&self.channel, route, &self.queue).await
        });
        bound.await.ok()?.ok()
    }
}

/// Takes a ring off, whatever it says; one that makes no sense is laid aside.
async fn take<T: Item>(delivery: Delivery) -> Option<Ring<T>> {
    let mut ring = Ring::decode(&delivery.data);
    if let Some(ring) = &mut ring {
        let header =
            delivery.properties.headers().as_ref().and_then(|headers| headers.inner().get(message::TRACEPARENT));
        ring.trace = header.and_then(message::traceparent);
    }
    // Where the broker does not learn of it the ring comes again, here or elsewhere; it only wakes.
    let _told = timeout(ACK, async {
        match &ring {
            Some(_) => delivery.ack(BasicAckOptions::default()).await,
            None => delivery.reject(BasicRejectOptions { requeue: false }).await,
        }
    })
    .await;
    ring
}
