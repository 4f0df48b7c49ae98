//! The rings that were laid aside: looked at, rung again, or dropped.
//!
//! A queue has no way to look without taking, so each look takes all of them on a channel of its own and gives them back with it, also
//! where the process dies meanwhile. Nothing here keeps more than one body at a time, and the queue is bounded.

use super::link::{Link, PATIENCE};
use super::topology::{DEAD_MAX, Route};
use domain::Timestamp;
use domain::ports::doorbell::DeadLetter;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

const PREVIEW_BYTES: usize = 256;
/// How long somebody else's look may hold all of them, about.
const HELD_FOR: Duration = Duration::from_millis(250);
/// Less than whoever asked waits, so that it hears how many it was.
const ENDS_WITHIN: Duration = Duration::from_millis(4_500);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Requeued,
    Discarded,
}

pub(super) async fn list(link: &Link) -> Result<Vec<DeadLetter>, String> {
    let mut letters: BTreeMap<Uuid, DeadLetter> = BTreeMap::new();
    let looking = async {
        let channel = link.session()?.channel().await.map_err(said)?;
        let mut last = None;
        while let Some(taken) = take(&channel, link, last).await? {
            last = Some(taken.delivery_tag);
            let letter = describe(&taken);
            let known = letters.entry(letter.id).or_insert_with(|| DeadLetter { count: 0, ..letter.clone() });
            known.count += 1;
            known.died_at = known.died_at.max(letter.died_at);
        }
        give_back(&channel).await
    };
    timeout(PATIENCE, looking).await.map_err(|_late| "the broker does not answer".to_owned())??;
    Ok(letters.into_values().collect())
}

/// Ends all of them that have this id, or as many as there is time for: the rest is still there. Where it is interrupted, a requeued one may
/// be rung twice.
pub(super) async fn end(link: &Link, id: Uuid, fate: Fate) -> Result<u32, String> {
    let until = Instant::now() + ENDS_WITHIN;
    match end_once(link, id, fate, until).await? {
        0 => {
            // Somebody who looks at the same moment may hold them all.
            sleep(HELD_FOR).await;
            end_once(link, id, fate, until).await
        }
        ended => Ok(ended),
    }
}

async fn end_once(link: &Link, id: Uuid, fate: Fate, until: Instant) -> Result<u32, String> {
    let ended = AtomicU32::new(0);
    let ending = async {
        let channel = link.session()?.channel().await.map_err(said)?;
        if fate == Fate::Requeued {
            channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(said)?;
        }
        let (mut last, mut body, mut found) = (None, Vec::new(), Vec::new());
        while let Some(taken) = take(&channel, link, last).await? {
            last = Some(taken.delivery_tag);
            if identify(&taken.data) == id {
                body = taken.data;
                found.push(taken.acker);
            }
        }
        // Only now: what is rung again may be laid aside again at once. All are rung before the first is waited for.
        let mut rung = Vec::with_capacity(found.len());
        for one in found {
            let confirmed = match fate {
                Fate::Requeued => Some(ring_again(&channel, link, &body).await?),
                Fate::Discarded => None,
            };
            rung.push((one, confirmed));
        }
        for (one, confirmed) in rung {
            if let Some(confirmed) = confirmed
                && !matches!(confirmed.await.map_err(said)?, Confirmation::Ack(None))
            {
                return Err("the broker would not take the ring again".to_owned());
            }
            one.ack(BasicAckOptions::default()).await.map_err(said)?;
            ended.fetch_add(1, Ordering::Relaxed);
        }
        give_back(&channel).await
    };
    let outcome = timeout_at(until, ending).await.map_err(|_late| "the broker does not answer".to_owned()).flatten();
    // What was ended is ended, whatever became of the rest.
    match (ended.into_inner(), outcome) {
        (0, Err(error)) => Err(error),
        (ended, _) => Ok(ended),
    }
}

/// The next one, up to as many as the queue holds: what comes back meanwhile is not taken for ever. `last`: the one before it.
async fn take(channel: &Channel, link: &Link, last: Option<u64>) -> Result<Option<Delivery>, String> {
    // A channel numbers what it delivers from 1.
    if last.is_some_and(|tag| tag >= DEAD_MAX.unsigned_abs().into()) {
        return Ok(None);
    }
    let got = channel.basic_get(link.topology.dead_queue(), BasicGetOptions::default()).await.map_err(said)?;
    Ok(got.map(|message| message.delivery))
}

/// What was taken and not acknowledged goes back with its channel.
async fn give_back(channel: &Channel) -> Result<(), String> {
    channel.close(200, "looked".into()).await.map_err(said)
}

async fn ring_again(channel: &Channel, link: &Link, body: &[u8]) -> Result<PublisherConfirm, String> {
    let (exchange, key) = link.topology.address(Route::Work);
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel.basic_publish(exchange, key, options, body, properties).await.map_err(said)
}

fn identify(body: &[u8]) -> Uuid {
    let digest = Sha256::digest(body);
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(first)
}

fn describe(delivery: &Delivery) -> DeadLetter {
    let headers = delivery.properties.headers();
    let named = |table: &FieldTable, name: &str| table.inner().get(name).cloned();
    let reason = headers.as_ref().and_then(|headers| named(headers, "x-first-death-reason"));
    let deaths = headers.as_ref().and_then(|headers| named(headers, "x-death"));
    let newest = deaths.as_ref().and_then(|deaths| {
        deaths.as_array()?.as_slice().first()?.as_field_table()?.inner().get("time")?.as_timestamp()
    });
    DeadLetter {
        id: identify(&delivery.data),
        reason: reason
            .and_then(|text| Some(String::from_utf8_lossy(text.as_long_string()?.as_bytes()).into_owned()))
            .unwrap_or_default(),
        count: 1,
        died_at: newest.and_then(|seconds| Timestamp::from_timestamp(i64::try_from(seconds).ok()?, 0)),
        bytes: delivery.data.len() as u64,
        preview: String::from_utf8_lossy(delivery.data.get(..PREVIEW_BYTES).unwrap_or(&delivery.data)).into_owned(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err passes it")]
fn said(error: lapin::Error) -> String {
    error.to_string()
}
