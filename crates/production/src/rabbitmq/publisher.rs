//! One kind of rings, sent: one publish in flight, and what arrives meanwhile shares the next.
//!
//! A ring that cannot be sent is not kept: its number is skipped, so that listeners hear that they missed something.

use super::link::{Link, Session};
use super::message::{Item, Ring, TRACEPARENT};
use super::topology::Route;
use domain::ports::doorbell::DoorbellError;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// In one message.
pub(super) const ITEMS: usize = 500;
/// Calls that wait for their turn; past it a ring fails at once.
const CALLS: usize = 1_024;
/// What a publish may take, its confirm and one repetition included.
const PUBLISH: Duration = Duration::from_secs(2);

type Answer = oneshot::Sender<Result<(), String>>;

pub(super) struct Publisher<T> {
    calls: mpsc::Sender<Call<T>>,
    numbers: Arc<AtomicU64>,
    link: Arc<Link>,
}

struct Call<T> {
    items: Vec<T>,
    trace: Option<String>,
    answer: Answer,
}

struct Lane {
    link: Arc<Link>,
    route: Route,
    /// Tells this process's numbers from those of others.
    from: u64,
    numbers: Arc<AtomicU64>,
    /// With confirms, on the session it was opened on.
    channel: Option<(Arc<Session>, Channel)>,
}

impl<T: Item> Publisher<T> {
    pub(super) fn start(link: &Arc<Link>, route: Route) -> Self {
        let (calls, inbox) = mpsc::channel(CALLS);
        let numbers = Arc::new(AtomicU64::new(0));
        let lane =
            Lane { link: Arc::clone(link), route, from: rand::random(), numbers: Arc::clone(&numbers), channel: None };
        link.tasks.spawn(link.closing.clone().run_until_cancelled_owned(lane.run(inbox)));
        Self { calls, numbers, link: Arc::clone(link) }
    }

    /// At most [`ITEMS`]. Returns when the broker has confirmed a message that holds them.
    pub(super) async fn ring(&self, items: Vec<T>, trace: Option<String>) -> Result<(), DoorbellError> {
        let (answer, answered) = oneshot::channel();
        if let Err(error) = self.calls.try_send(Call { items, trace, answer }) {
            self.numbers.fetch_add(1, Ordering::Relaxed);
            self.link.counts.failed.fetch_add(1, Ordering::Relaxed);
            let why =
                if matches!(error, mpsc::error::TrySendError::Full(_)) { "too many rings wait" } else { "closed" };
            return Err(DoorbellError(why.into()));
        }
        // Its own publish and the one before it; a failed one fails all that wait.
        match timeout(2 * PUBLISH + Duration::from_secs(1), answered).await {
            Ok(Ok(outcome)) => outcome.map_err(DoorbellError),
            Ok(Err(_dropped)) => Err(DoorbellError("closed".into())),
            Err(_late) => Err(DoorbellError("too many rings wait".into())),
        }
    }
}

impl Lane {
    async fn run<T: Item>(mut self, mut inbox: mpsc::Receiver<Call<T>>) {
        let mut next = None;
        while let Some(call) = match next.take() {
            Some(call) => Some(call),
            None => inbox.recv().await,
        } {
            let (mut items, mut trace, mut answers) = (call.items, call.trace, vec![call.answer]);
            while answers.len() < CALLS {
                match inbox.try_recv() {
                    Ok(more) if items.len() + more.items.len() <= ITEMS => {
                        items.extend(more.items);
                        trace = trace.or(more.trace);
                        answers.push(more.answer);
                    }
                    Ok(more) => {
                        next = Some(more);
                        break;
                    }
                    Err(_none) => break,
                }
            }
            let outcome = self.publish(items, trace.as_deref()).await;
            if outcome.is_err() {
                // The broker has just taken its two seconds, or is away: those that wait do not wait for it again.
                while let Some(call) = next.take().or_else(|| inbox.try_recv().ok()) {
                    answers.push(call.answer);
                }
                self.numbers.fetch_add(1, Ordering::Relaxed);
            }
            let counts = &self.link.counts;
            let count = if outcome.is_ok() { &counts.sent } else { &counts.failed };
            count.fetch_add(1, Ordering::Relaxed);
            for answer in answers {
                // Whoever has stopped waiting needs no answer.
                let _gone = answer.send(outcome.clone());
            }
        }
    }

    async fn publish<T: Item>(&mut self, items: Vec<T>, trace: Option<&str>) -> Result<(), String> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let body = Ring::new(self.from, number, items).encode().map_err(|error| error.to_string())?;
        if let Ok(outcome) = timeout(PUBLISH, self.deliver(&body, trace)).await {
            return outcome;
        }
        // Whatever is still under way on that channel: its outcome is nobody's any more.
        if let Some((session, _channel)) = self.channel.take() {
            session.look();
        }
        Err("the broker did not confirm in time".into())
    }

    /// Sends, and where that fails for a reason that declaring everything again may mend, sends once more.
    async fn deliver(&mut self, body: &[u8], trace: Option<&str>) -> Result<(), String> {
        let session = self.link.session()?;
        if session.blocked() {
            return Err("the broker blocks publishers".into());
        }
        let Err(trouble) = self.attempt(&session, body, trace).await else { return Ok(()) };
        tracing::debug!(%trouble, route = ?self.route, "a ring did not arrive; declaring and sending again");
        self.channel = None;
        session.look();
        let declared = async { self.link.topology.declare(&session.channel().await?).await };
        declared.await.map_err(|error| error.to_string())?;
        self.attempt(&session, body, trace).await
    }

    async fn attempt(&mut self, session: &Arc<Session>, body: &[u8], trace: Option<&str>) -> Result<(), String> {
        let confirmed = async {
            let channel = self.channel(session).await?;
            let (exchange, key) = self.link.topology.address(self.route);
            // Somebody must hear of work; changes may have no listener.
            let options = BasicPublishOptions { mandatory: self.route == Route::Work, ..Default::default() };
            let mut headers = FieldTable::default();
            if let Some(trace) = trace {
                headers.insert(TRACEPARENT.into(), AMQPValue::LongString(trace.into()));
            }
            let properties = BasicProperties::default()
                .with_headers(headers)
                .with_content_type("application/json".into())
                .with_delivery_mode(if self.route == Route::Work { 2 } else { 1 });
            channel.basic_publish(exchange, key, options, body, properties).await?.await
        };
        match confirmed.await {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(Confirmation::Ack(Some(_returned))) => Err("no queue takes the ring".into()),
            Ok(Confirmation::Nack(_)) => Err("the broker would not keep the ring".into()),
            Ok(Confirmation::NotRequested) => Err("the channel does not confirm".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn channel(&mut self, session: &Arc<Session>) -> lapin::Result<Channel> {
        match &self.channel {
            Some((on, channel)) if Arc::ptr_eq(on, session) && channel.status().connected() => Ok(channel.clone()),
            _ => {
                let channel = session.channel().await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                self.channel = Some((Arc::clone(session), channel.clone()));
                Ok(channel)
            }
        }
    }
}
