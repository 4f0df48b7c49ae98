//! A network that eats answers or parts a worker from the pool: no lease leaks, and none is used twice.

use crate::proxy::{Mode, Proxy};
use crate::world::{Replica, SECRET, a_worker, any, import, leases, ledger, until};
use domain::lease::LeaseRef;
use domain::ports::pool::PoolError;
use domain::ports::{TokenAdmin, TokenLeases};
use domain::token::{AcquireRequest, LeaseOutcome};
use secrecy::SecretString;
use std::time::{Duration, Instant};
use token_pool_rpc::RemotePool;

#[tokio::test]
async fn an_answer_that_was_eaten_is_given_again_and_leaks_nothing() {
    let ledger = ledger().await;
    // Nothing lapses here: what leaks is seen.
    let replica = Replica::start(&ledger.at, |settings| settings.grant_hold = Duration::from_secs(60)).await;
    import(&*replica.client, 4, 25).await;
    let proxy = Proxy::before(&replica.address).await;
    let client = RemotePool::connect(&proxy.address, SecretString::from(SECRET), None).unwrap();
    let mut held = Vec::new();
    for round in 1..=5 {
        proxy.now(Mode::EatAnswers);
        let request = AcquireRequest { wait_up_to: Duration::from_secs(5), ..any(a_worker(), 3) };
        let (got, ()) = tokio::join!(leases(&*client, request), async {
            until(async || (replica.client.stats().await.unwrap().leased == round * 3).then_some(())).await;
            proxy.now(Mode::Pass);
            proxy.breaks();
        });
        held.extend(got.iter().map(|lease| (lease.lease_id, LeaseOutcome::Ok)));
        assert_eq!(replica.client.stats().await.unwrap().leased, round * 3, "the same leases, not others");
    }
    client.release(&held).await.unwrap();
    assert_eq!(replica.client.stats().await.unwrap().leased, 0);
    assert_eq!(replica.metric("son1k_token_releases_unknown_total", None) as u32, 0);
    drop(client);
    replica.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_parted_from_the_pool_keeps_its_work_s_leases_and_gets_no_other() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |settings| settings.grant_hold = Duration::from_secs(4)).await;
    import(&*replica.client, 1, 2).await;
    ledger.at.customer_of(10).await.submit().await;
    let proxy = Proxy::before(&replica.address).await;
    let client = RemotePool::connect(&proxy.address, SecretString::from(SECRET), None).unwrap();
    let worker = ledger.at.worker().await;
    let [named, unnamed] = &leases(&*client, any(worker.id, 2)).await[..] else { panic!("two") };
    let reference = LeaseRef { lease_id: named.lease_id, token_id: named.token_id };
    let claimed = ledger.at.work.claim(worker.id, &[reference]).await.unwrap().remove(0);

    proxy.now(Mode::Partition);
    let begun = Instant::now();
    assert!(matches!(client.acquire(any(worker.id, 1)).await, Err(PoolError::Unavailable(_))));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(client.release(&[(unnamed.lease_id, LeaseOutcome::Ok)]).await.is_err());
    // The grant that no work names lapses and serves another; the one that work names stands.
    let other = AcquireRequest { wait_up_to: Duration::from_secs(10), ..any(a_worker(), 2) };
    assert_eq!(leases(&*replica.client, other).await.len(), 1);
    assert_eq!(replica.client.stats().await.unwrap().leased, 2);

    // The running call ends while they are parted, and its row tells the pool.
    worker.succeed(claimed.held).await;
    until(async || (replica.client.stats().await.unwrap().leased < 2).then_some(())).await;
    proxy.now(Mode::Pass);
    proxy.breaks();
    // What comes late of the lapsed lease frees nobody's place.
    let before = replica.client.stats().await.unwrap().leased;
    client.release(&[(unnamed.lease_id, LeaseOutcome::Unauthorized)]).await.unwrap();
    let after = replica.client.stats().await.unwrap();
    assert_eq!((after.leased, after.quarantined), (before, 0));
    assert!((replica.metric("son1k_token_releases_unknown_total", None) as u32) >= 1);
    drop(client);
    replica.stop().await;
}
