//! What every doorbell must do. Rings may come twice or never where a server fails; on a healthy one they come.
//!
//! A suite for an adapter is `conformance::doorbell_suite!(fixture())` in a module of its tests, where `fixture()` is a future of
//! [`Doorbells`].

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a suite fails by panicking")]

use domain::event::{Change, Notice};
use domain::ids::{AccountId, GenerationId};
use domain::ports::Doorbell;
use domain::ports::doorbell::{Heard, Rings};
use futures::StreamExt;
use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough for a ring that should not come.
const SILENCE: Duration = Duration::from_millis(300);

/// Two processes' doorbells of one system; in one process they are the same.
pub struct Doorbells {
    pub here: Arc<dyn Doorbell>,
    pub there: Arc<dyn Doorbell>,
    /// Dropped at the test's end: whatever must be cleaned up.
    pub keep: Box<dyn Any + Send + Sync>,
}

#[macro_export]
macro_rules! doorbell_suite {
    ($fixture:expr) => {
        $crate::doorbell_suite!(@each $fixture,
            a_work_ring_wakes_one_of_two_listeners,
            a_listener_that_has_left_takes_no_ring,
            ten_thousand_rings_without_a_listener_wake_the_next,
            changes_reach_every_listener_in_their_publisher_s_order,
            concurrent_rings_all_arrive,
            a_full_ring_arrives_whole,
            notices_reach_every_listener,
        );
    };
    (@each $fixture:expr, $($story:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $story() {
                $crate::doorbell::$story($fixture.await).await;
            }
        )+
    };
}

/// The next thing heard, within the suite's patience.
pub async fn next<T>(rings: &mut Rings<T>) -> Heard<T> {
    timeout(PATIENCE, rings.next()).await.expect("nothing was heard in time").expect("rings never end")
}

/// Waits until the listener listens: that is the first thing it hears.
pub async fn listening<T: PartialEq + std::fmt::Debug>(mut rings: Rings<T>) -> Rings<T> {
    assert_eq!(next(&mut rings).await, Heard::Missed, "the first thing heard says: from now on");
    rings
}

/// The next ring that is one, past any [`Heard::Missed`].
pub async fn rang<T>(rings: &mut Rings<T>) -> T {
    loop {
        if let Heard::Rang(what) = next(rings).await {
            return what;
        }
    }
}

pub fn change(version: u32) -> Change {
    Change {
        id: GenerationId::from_uuid(Uuid::from_u128(rand::random())),
        account_id: AccountId::from_uuid(Uuid::from_u128(rand::random())),
        version,
        progress: None,
    }
}

pub async fn a_work_ring_wakes_one_of_two_listeners(bells: Doorbells) {
    const RINGS: usize = 20;
    let mut one = listening(bells.here.work()).await;
    let mut two = listening(bells.there.work()).await;
    for _ in 0..RINGS {
        bells.here.ring_workers(None).await.unwrap();
        timeout(PATIENCE, async {
            tokio::select! { _ = one.next() => (), _ = two.next() => () }
        })
        .await
        .expect("one of the two is woken");
    }
    let mut more = 0;
    while timeout(SILENCE, async {
        tokio::select! { _ = one.next() => (), _ = two.next() => () }
    })
    .await
    .is_ok()
    {
        more += 1;
    }
    assert!(more < RINGS / 2, "a ring wakes one listener, not each: {more} more than {RINGS}");
}

pub async fn a_listener_that_has_left_takes_no_ring(bells: Doorbells) {
    let gone = listening(bells.here.work()).await;
    let mut stays = listening(bells.there.work()).await;
    drop(gone);
    for _ in 0..5 {
        bells.there.ring_workers(None).await.unwrap();
        rang(&mut stays).await;
    }
}

pub async fn ten_thousand_rings_without_a_listener_wake_the_next(bells: Doorbells) {
    futures::stream::iter(0..10_000)
        .for_each_concurrent(64, |_| async { bells.here.ring_workers(None).await.unwrap() })
        .await;
    let mut late = listening(bells.there.work()).await;
    rang(&mut late).await;
}

pub async fn changes_reach_every_listener_in_their_publisher_s_order(bells: Doorbells) {
    let mut listeners = [listening(bells.here.changes()).await, listening(bells.there.changes()).await];
    let sent: Vec<Change> = (1..=60).map(change).collect();
    for ring in sent.chunks(3) {
        bells.here.ring_gateways(ring).await.unwrap();
    }
    for listener in &mut listeners {
        let mut heard = Vec::new();
        while heard.len() < sent.len() {
            match next(listener).await {
                Heard::Rang(changes) => heard.extend(changes),
                Heard::Missed => panic!("nothing is missed by a listener that keeps up"),
            }
        }
        assert_eq!(heard, sent);
    }
}

pub async fn concurrent_rings_all_arrive(bells: Doorbells) {
    let mut listener = listening(bells.there.changes()).await;
    let sent: Vec<Change> = (1..=200).map(change).collect();
    futures::stream::iter(&sent)
        .for_each_concurrent(32, |one| {
            let bell = Arc::clone(&bells.here);
            async move { bell.ring_gateways(&[*one]).await.unwrap() }
        })
        .await;
    let wanted: BTreeSet<GenerationId> = sent.iter().map(|change| change.id).collect();
    let mut heard = BTreeSet::new();
    while heard != wanted {
        heard.extend(rang(&mut listener).await.iter().map(|change| change.id));
    }
}

pub async fn a_full_ring_arrives_whole(bells: Doorbells) {
    let mut listener = listening(bells.there.changes()).await;
    let mut sent: Vec<Change> = (1..=500).map(change).collect();
    sent[7].progress = Some(0.25);
    bells.here.ring_gateways(&sent).await.unwrap();
    assert_eq!(rang(&mut listener).await, sent);
}

pub async fn notices_reach_every_listener(bells: Doorbells) {
    let mut listeners = [listening(bells.here.notices()).await, listening(bells.there.notices()).await];
    let sent = vec![Notice::Closing(change(1).id), Notice::CalledBack(change(1).id)];
    bells.there.notify_workers(&sent).await.unwrap();
    for listener in &mut listeners {
        assert_eq!(rang(listener).await, sent);
    }
}
