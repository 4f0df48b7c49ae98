//! Error policy and recovery: what the upstream says of a token, probes, trials and operators.

use crate::world::{Replica, a_worker, any, dry, import, leases, ledger, of_token, release, seen, until};
use async_trait::async_trait;
use domain::ports::upstream::{Progress, TokenCheck, UpstreamAnswer, UpstreamError, UpstreamJob};
use domain::ports::{TokenAdmin, Upstream};
use domain::token::{LeaseOutcome, PoolStatus, TokenState};
use secrecy::SecretString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[tokio::test]
async fn one_bad_token_among_fifty_goes_and_the_rest_serve() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let pool = &*replica.client;
    let ids = import(pool, 50, 2).await;
    let bad = ids[7];
    let lease = leases(pool, of_token(a_worker(), bad)).await.remove(0);
    release(pool, lease.lease_id, LeaseOutcome::Unauthorized).await;
    let rest = leases(pool, any(a_worker(), 200)).await;
    assert_eq!(rest.len(), 98);
    assert!(rest.iter().all(|lease| lease.token_id != bad));
    let view = seen(pool, bad).await;
    assert_eq!((view.state, view.leased), (TokenState::Quarantined, 0));
    assert_eq!(pool.stats().await.unwrap().status(), PoolStatus::Low);
    until(async || {
        let rows = ledger.at.tokens.load().await.unwrap();
        rows.iter().any(|row| row.id == bad && row.state == TokenState::Quarantined).then_some(())
    })
    .await;
    replica.stop().await;
}

#[tokio::test]
async fn with_none_usable_callers_wait_and_nothing_fails() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let pool = &*replica.client;
    let ids = import(pool, 2, 1).await;
    for id in &ids {
        let lease = leases(pool, of_token(a_worker(), *id)).await.remove(0);
        release(pool, lease.lease_id, LeaseOutcome::OutOfCredit).await;
    }
    assert_eq!(dry(pool, any(a_worker(), 1)).await, Some(None));
    assert_eq!(pool.stats().await.unwrap().exhausted, 2);

    // An operator has topped one up: it comes back through one trial.
    let view = pool.reinstate(ids[0]).await.unwrap().unwrap();
    assert_eq!((view.state, view.reason.as_deref()), (TokenState::Usable, Some("half-open: one trial lease decides")));
    let trial = leases(pool, any(a_worker(), 1)).await.remove(0);
    release(pool, trial.lease_id, LeaseOutcome::Ok).await;
    assert_eq!(seen(pool, ids[0]).await.reason, None);
    replica.stop().await;
}

#[tokio::test]
async fn an_operator_disables_reinstates_and_deletes() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let pool = &*replica.client;
    let ids = import(pool, 1, 4).await;
    assert_eq!(pool.disable(ids[0]).await.unwrap().unwrap().state, TokenState::Disabled);
    assert_eq!(dry(pool, any(a_worker(), 1)).await, Some(None));
    assert_eq!(ledger.at.tokens.load().await.unwrap()[0].state, TokenState::Disabled);
    assert_eq!(pool.reinstate(ids[0]).await.unwrap().unwrap().state, TokenState::Usable);
    assert_eq!(leases(pool, any(a_worker(), 1)).await.len(), 1);
    assert_eq!(pool.delete(ids[0]).await.unwrap(), Some(()));
    assert_eq!(dry(pool, any(a_worker(), 1)).await, Some(None));
    assert_eq!(ledger.at.tokens.load().await.unwrap(), []);
    assert_eq!(pool.delete(ids[0]).await.unwrap(), None);
    assert_eq!(pool.disable(ids[0]).await.unwrap(), None);
    assert_eq!(pool.reinstate(ids[0]).await.unwrap(), None);
    replica.stop().await;
}

/// Says of every token what it is told to.
struct Upstairs {
    good: AtomicBool,
}

#[async_trait]
impl Upstream for Upstairs {
    async fn submit(&self, _: &SecretString, _: &UpstreamJob) -> Result<UpstreamAnswer, UpstreamError> {
        unreachable!("the pool submits nothing")
    }

    async fn poll(&self, _: &SecretString, _: &str) -> Result<Progress, UpstreamError> {
        unreachable!("the pool polls nothing")
    }

    async fn cancel(&self, _: &SecretString, _: &str) -> Result<bool, UpstreamError> {
        unreachable!("the pool cancels nothing")
    }

    async fn check(&self, _: &SecretString) -> Result<TokenCheck, UpstreamError> {
        if self.good.load(Ordering::SeqCst) {
            Ok(TokenCheck { credits_left: Some(5) })
        } else {
            Err(UpstreamError::Unauthorized)
        }
    }
}

#[tokio::test]
async fn a_probe_finds_a_bad_token_and_a_mended_one() {
    let ledger = ledger().await;
    let upstairs = Arc::new(Upstairs { good: AtomicBool::new(false) });
    let replica = Replica::start_with(&ledger.at, Some(upstairs.clone()), |settings| {
        settings.health_check_interval = Duration::from_millis(50);
    })
    .await;
    let pool = &*replica.client;
    let id = import(pool, 1, 5).await[0];
    until(async || (seen(pool, id).await.state == TokenState::Quarantined).then_some(())).await;
    upstairs.good.store(true, Ordering::SeqCst);
    until(async || (seen(pool, id).await.state == TokenState::Usable).then_some(())).await;
    assert_eq!(leases(pool, any(a_worker(), 5)).await.len(), 1, "one trial before full use");
    replica.stop().await;
}

#[tokio::test]
async fn what_is_over_a_lowered_maximum_is_retired_worst_first_and_never_while_leased() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let ids = import(&*replica.client, 4, 1).await;
    let lease = leases(&*replica.client, of_token(a_worker(), ids[3])).await.remove(0);
    release(&*replica.client, lease.lease_id, LeaseOutcome::Unauthorized).await;
    until(async || {
        let rows = ledger.at.tokens.load().await.unwrap();
        rows.iter().any(|row| row.state == TokenState::Quarantined).then_some(())
    })
    .await;
    replica.stop().await;

    let replica = Replica::start(&ledger.at, |settings| {
        (settings.min, settings.max, settings.sole) = (1, 2, true);
    })
    .await;
    let stats = until(async || {
        let stats = replica.client.stats().await.unwrap();
        (stats.disabled == 2).then_some(stats)
    })
    .await;
    assert_eq!((stats.usable, stats.quarantined), (2, 0));
    replica.stop().await;
}
