//! What every store must do with the gateways' heartbeats.
//!
//! A suite for an adapter is `conformance::gateways_suite!(fresh())` in a module of its tests, where `fresh()` is a future of
//! `(Arc<dyn Gateways>, cleanup)`: the port on an empty store, and a future that removes the store.

#![expect(clippy::unwrap_used, reason = "a suite fails by panicking")]

use domain::ids::GatewayId;
use domain::ports::Gateways;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(600);

#[macro_export]
macro_rules! gateways_suite {
    ($fresh:expr) => {
        $crate::gateways_suite!(@each $fresh,
            a_gateway_counts_from_its_first_beat_until_it_leaves,
            one_that_went_silent_counts_no_longer_and_may_come_back,
            many_at_once_count_each_other,
        );
    };
    (@each $fresh:expr, $($story:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $story() {
                let (gateways, cleanup) = $fresh.await;
                $crate::gateways::$story(gateways).await;
                cleanup.await;
            }
        )+
    };
}

fn a_gateway() -> GatewayId {
    GatewayId::from_uuid(Uuid::from_u128(rand::random()))
}

pub async fn a_gateway_counts_from_its_first_beat_until_it_leaves(gateways: Arc<dyn Gateways>) {
    let (one, two) = (a_gateway(), a_gateway());
    assert_eq!(gateways.beat(one, LONG).await.unwrap(), 1);
    assert_eq!(gateways.beat(one, LONG).await.unwrap(), 1, "the same again is still one");
    assert_eq!(gateways.beat(two, LONG).await.unwrap(), 2);
    assert_eq!(gateways.beat(one, LONG).await.unwrap(), 2);
    gateways.leave(one).await.unwrap();
    gateways.leave(one).await.unwrap();
    gateways.leave(a_gateway()).await.unwrap();
    assert_eq!(gateways.beat(two, LONG).await.unwrap(), 1);
}

pub async fn one_that_went_silent_counts_no_longer_and_may_come_back(gateways: Arc<dyn Gateways>) {
    let (silent, other) = (a_gateway(), a_gateway());
    assert_eq!(gateways.beat(silent, Duration::ZERO).await.unwrap(), 1, "whoever beats lives");
    assert_eq!(gateways.beat(other, LONG).await.unwrap(), 1);
    assert_eq!(gateways.beat(silent, LONG).await.unwrap(), 2);
    assert_eq!(gateways.beat(other, LONG).await.unwrap(), 2);
}

pub async fn many_at_once_count_each_other(gateways: Arc<dyn Gateways>) {
    let fleet: Vec<_> = (0..16).map(|_| a_gateway()).collect();
    for round in 0..3 {
        let mut beating = tokio::task::JoinSet::new();
        for gateway in fleet.iter().copied() {
            let gateways = Arc::clone(&gateways);
            beating.spawn(async move { gateways.beat(gateway, LONG).await.unwrap() });
        }
        let counts = beating.join_all().await;
        assert!(counts.iter().all(|count| (1..=16).contains(count)), "{counts:?}");
        assert!(round == 0 || counts == [16; 16], "{counts:?}");
    }
}
