//! Queues and exchanges: their names, their arguments, their declaration. Changing an argument means a new version in the name.
//!
//! | name | what |
//! | --- | --- |
//! | `….work.v1` | the quorum queue of work rings: at most 10,000, the oldest dropped |
//! | `….changes.v1`, `….notices.v1` | exchanges; each listener binds a queue of its own, which goes with it |
//! | `….dead.v1`, `….dead.v2` | an exchange, and a queue for work rings that made no sense; what the full queue drops does not count as such |

use lapin::options::{
    BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Consumer, ExchangeKind};

const WORK_MAX: i32 = 10_000;
/// Work rings that are laid aside at most; past it the oldest are dropped.
pub(super) const DEAD_MAX: i32 = 1_000;
/// How often a dead ring may be looked at: RabbitMQ 4 drops after twenty looks what has no limit of its own.
const LOOKS_MAX: i32 = 1_000_000;
const LISTENER_MAX: i32 = 1_000;

/// The three kinds of rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Work,
    Changes,
    Notices,
}

pub(super) struct Topology {
    work: ShortString,
    changes: ShortString,
    notices: ShortString,
    dead_exchange: ShortString,
    dead: ShortString,
}

impl Topology {
    pub(super) fn new(namespace: &str) -> Self {
        let name = |what: &str| ShortString::from(format!("{namespace}.{what}"));
        Self {
            work: name("work.v1"),
            changes: name("changes.v1"),
            notices: name("notices.v1"),
            dead_exchange: name("dead.v1"),
            dead: name("dead.v2"),
        }
    }

    /// Declares what outlives connections. Any number of times.
    pub(super) async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let topic = ExchangeKind::Topic;
        channel.exchange_declare(self.changes.clone(), topic, durable, FieldTable::default()).await?;
        channel.exchange_declare(self.notices.clone(), ExchangeKind::Fanout, durable, FieldTable::default()).await?;
        channel
            .exchange_declare(self.dead_exchange.clone(), ExchangeKind::Headers, durable, FieldTable::default())
            .await?;

        let kept = QueueDeclareOptions { durable: true, ..Default::default() };
        let dead = table([
            text("x-queue-type", "quorum"),
            number("x-max-length", DEAD_MAX),
            text("x-overflow", "drop-head"),
            number("x-delivery-limit", LOOKS_MAX),
        ]);
        channel.queue_declare(self.dead.clone(), kept, dead).await?;
        // Of what is dead-lettered, only what a listener rejected or what kept coming back is worth a look.
        for reason in ["rejected", "delivery_limit"] {
            let matching = table([text("x-match", "all-with-x"), text("x-first-death-reason", reason)]);
            let (queue, exchange) = (self.dead.clone(), self.dead_exchange.clone());
            channel.queue_bind(queue, exchange, reason.into(), QueueBindOptions::default(), matching).await?;
        }
        let work = table([
            text("x-queue-type", "quorum"),
            number("x-max-length", WORK_MAX),
            text("x-overflow", "drop-head"),
            number("x-delivery-limit", 20),
            text("x-dead-letter-exchange", self.dead_exchange.as_str()),
        ]);
        channel.queue_declare(self.work.clone(), kept, work).await?;
        Ok(())
    }

    /// Where a ring is published to: exchange and routing key.
    pub(super) fn address(&self, route: Route) -> (ShortString, ShortString) {
        match route {
            // The default exchange leads to the queue of that name.
            Route::Work => (ShortString::default(), self.work.clone()),
            Route::Changes => (self.changes.clone(), "changes".into()),
            Route::Notices => (self.notices.clone(), "notices".into()),
        }
    }

    /// Starts a listener: for work on the queue that all share, else on one of its own, which is empty and goes with it.
    pub(super) async fn consume(&self, channel: &Channel, route: Route) -> lapin::Result<(Consumer, ShortString)> {
        // One ring wakes one worker: what is delivered ahead to one would be missing at the others.
        let (queue, prefetch) = match route {
            Route::Work => (self.work.clone(), 1),
            Route::Changes | Route::Notices => {
                let (exchange, _) = self.address(route);
                let own = ShortString::from(format!("{}.{:016x}", exchange.as_str(), rand::random::<u64>()));
                let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
                let bounds = table([number("x-max-length", LISTENER_MAX), text("x-overflow", "drop-head")]);
                channel.queue_declare(own.clone(), options, bounds).await?;
                self.bind(channel, route, &own).await?;
                (own, 32)
            }
        };
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer = channel.basic_consume(queue.clone(), ShortString::default(), options, none).await?;
        Ok((consumer, queue))
    }

    /// Says again what a listener's queue is bound to: an exchange that was deleted and declared again has forgotten it.
    pub(super) async fn bind(&self, channel: &Channel, route: Route, queue: &ShortString) -> lapin::Result<()> {
        let (exchange, _) = self.address(route);
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(queue.clone(), exchange, "#".into(), options, none).await
    }

    pub(super) fn dead_queue(&self) -> ShortString {
        self.dead.clone()
    }

    /// Messages in the work queue and in the dead queue.
    pub(super) async fn waiting(&self, channel: &Channel) -> lapin::Result<(u32, u32)> {
        let look = QueueDeclareOptions { passive: true, ..Default::default() };
        let work = channel.queue_declare(self.work.clone(), look, FieldTable::default()).await?;
        let dead = channel.queue_declare(self.dead.clone(), look, FieldTable::default()).await?;
        Ok((work.message_count(), dead.message_count()))
    }
}

fn table<const N: usize>(arguments: [(ShortString, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert(name, value);
    }
    table
}

fn text(name: &str, value: &str) -> (ShortString, AMQPValue) {
    (name.into(), AMQPValue::LongString(value.into()))
}

fn number(name: &str, value: i32) -> (ShortString, AMQPValue) {
    (name.into(), AMQPValue::LongInt(value))
}
