//! The in-process doorbell keeps the contract, and bounds what a slow listener costs.

use conformance::doorbell::{Doorbells, change, listening, next};
use domain::ports::Doorbell;
use domain::ports::doorbell::Heard;
use embedded::channels::Channels;

fn fixture() -> Doorbells {
    let bell = Channels::new();
    Doorbells { here: bell.clone(), there: bell, keep: Box::new(()) }
}

conformance::doorbell_suite!(std::future::ready(fixture()));

#[tokio::test]
async fn a_listener_that_falls_behind_is_told_and_goes_on() {
    let bell = Channels::new();
    let mut slow = listening(bell.changes()).await;
    for version in 1..=1_000 {
        bell.ring_gateways(&[change(version)]).await.unwrap();
    }
    assert_eq!(next(&mut slow).await, Heard::Missed);
    assert!(matches!(next(&mut slow).await, Heard::Rang(changes) if changes[0].version > 700));
}

#[tokio::test]
async fn a_ring_that_a_leaving_listener_took_wakes_the_next() {
    let bell = Channels::new();
    let mut leaves = listening(bell.work()).await;
    {
        let mut waiting = Box::pin(futures::StreamExt::next(&mut leaves));
        assert!(futures::poll!(&mut waiting).is_pending());
        bell.ring_workers(None).await.unwrap();
    }
    drop(leaves);
    let mut stays = listening(bell.work()).await;
    assert_eq!(next(&mut stays).await, Heard::Rang(None));
}
