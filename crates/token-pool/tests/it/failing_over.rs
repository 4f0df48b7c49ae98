//! Two replicas: one leads, the other tells who, and takes over without doubling or losing a lease.

use crate::world::{Doomed, Replica, SECRET, a_worker, any, import, leases, ledger, secrets, settings};
use domain::lease::LeaseRef;
use domain::ports::pool::PoolError;
use domain::ports::{TokenAdmin, TokenLeases};
use domain::token::{AcquireRequest, Acquired, LeaseOutcome};
use secrecy::SecretString;
use std::time::{Duration, Instant};
use token_pool::{Pool, PoolStartError};
use token_pool_rpc::RemotePool;
use tokio_util::sync::CancellationToken;

/// A leadership short enough to lose, though not to a machine that is busy.
const LEAD: Duration = Duration::from_secs(4);

fn brief(settings: &mut token_pool::Settings) {
    settings.lead_lease = LEAD;
}

async fn patiently(pool: &RemotePool, request: AcquireRequest) -> Acquired {
    let begun = Instant::now();
    loop {
        match pool.acquire(request.clone()).await {
            Err(PoolError::Unavailable(_)) if begun.elapsed() < Duration::from_secs(15) => {}
            answer => return answer.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_follower_s_callers_are_led_to_the_leader() {
    let ledger = ledger().await;
    let leader = Replica::start(&ledger.at, brief).await;
    let follower = Replica::start(&ledger.at, brief).await;
    assert!(leader.pool.leads() && !follower.pool.leads());
    import(&*follower.client, 2, 1).await;
    assert_eq!(leases(&*follower.client, any(a_worker(), 5)).await.len(), 2);
    assert_eq!(leader.client.stats().await.unwrap().leased, 2);
    // In process it says where to go.
    let refused = follower.pool.acquire(any(a_worker(), 1)).await.unwrap_err();
    assert!(refused.to_string().contains(&leader.address), "{refused}");

    // The leader resigns as it stops, and the other takes over; its callers find out by themselves.
    let both = format!("{},{}", leader.address, follower.address);
    let client = RemotePool::connect(&both, SecretString::from(SECRET), None).unwrap();
    client.stats().await.unwrap();
    leader.stop().await;
    let begun = Instant::now();
    while client.list().await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody took over");
    }
    follower.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_s_leases_are_neither_doubled_nor_lost() {
    let ledger = ledger().await;
    let leader = Doomed::start(&ledger.at, 0, brief);
    let heir = Replica::start(&ledger.at, brief).await;
    let both = format!("{},{}", leader.replica.address, heir.address);
    let client = RemotePool::connect(&both, SecretString::from(SECRET), None).unwrap();
    import(&*client, 2, 2).await;
    ledger.at.customer_of(10).await.submit_many(3).await;

    let worker = ledger.at.worker().await;
    let first = leases(&*client, any(worker.id, 2)).await;
    let claim = async |lease: &domain::token::TokenLease| {
        let reference = LeaseRef { lease_id: lease.lease_id, token_id: lease.token_id };
        ledger.at.work.claim(worker.id, &[reference]).await.unwrap().remove(0)
    };
    claim(&first[0]).await;
    claim(&first[1]).await;
    // A grant of the last moment, claimed while nobody leads.
    let last = leases(&*client, any(worker.id, 1)).await.remove(0);
    leader.kill();
    let killed = Instant::now();
    claim(&last).await;

    let request = AcquireRequest { wait_up_to: Duration::from_secs(5), ..any(worker.id, 4) };
    let Acquired::Leases(after) = patiently(&client, request).await else { panic!("dry") };
    assert!(killed.elapsed() < Duration::from_secs(15), "took over after {:?}", killed.elapsed());
    assert!(heir.pool.leads());
    assert_eq!(after.len(), 1, "three of four uses are taken by work");
    assert!(after[0].fencing_token > last.fencing_token.max(first[0].fencing_token));
    assert_eq!(heir.client.stats().await.unwrap().leased, 4);

    // A lease of the old leader's comes back to the new one and frees its token.
    client.release(&[(last.lease_id, LeaseOutcome::Ok)]).await.unwrap();
    assert_eq!(heir.metric("son1k_token_releases_unknown_total", None) as u32, 0);
    heir.stop().await;
}

#[tokio::test]
async fn a_store_without_history_and_a_sole_process_serve_at_once() {
    let ledger = ledger().await;
    let start = async |sole, lead_lease| {
        let shutdown = CancellationToken::new();
        let settings =
            token_pool::Settings { sole, grant: Duration::from_secs(60), lead_lease, ..settings(&ledger.at) };
        let registry = prometheus::Registry::new();
        let pool =
            Pool::start(settings, ledger.at.tokens.clone(), ledger.at.clock.clone(), None, &registry, shutdown.clone());
        (pool.await, shutdown)
    };
    // Longer than the patience of the one beside it.
    let long = Duration::from_secs(20);
    let (first, stop) = start(false, long).await;
    let first = first.unwrap();
    first.import(secrets(0, 1)).await.unwrap();
    assert_eq!(leases(&*first, any(a_worker(), 1)).await.len(), 1);
    // Beside it no other can be the only one.
    assert!(matches!(start(true, Duration::from_secs(2)).await.0, Err(PoolStartError::NotSole)));
    stop.cancel();
    first.stopped().await;

    let (again, stop) = start(true, long).await;
    let again = again.unwrap();
    assert_eq!(leases(&*again, any(a_worker(), 1)).await.len(), 1);
    stop.cancel();
    again.stopped().await;
    assert!(matches!(again.acquire(any(a_worker(), 1)).await, Err(PoolError::Unavailable(_))));
}
