//! Acquiring, renewing and releasing: concurrency, fairness, pace, and what a dry pool says.

use crate::world::{Replica, a_worker, any, dry, import, leases, ledger, of_token, release, secrets, seen, until};
use domain::ports::{TokenAdmin, TokenLeases};
use domain::token::{AcquireRequest, Acquired, LeaseOutcome, TokenImport};
use futures::future::join_all;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

#[tokio::test]
async fn leases_go_to_the_least_loaded_and_come_back() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let pool = &*replica.client;
    import(pool, 3, 2).await;
    let first = leases(pool, any(a_worker(), 3)).await;
    let tokens: std::collections::HashSet<_> = first.iter().map(|lease| lease.token_id).collect();
    assert_eq!(tokens.len(), 3, "one of each before a second of any");
    let rest = leases(pool, any(a_worker(), 10)).await;
    assert_eq!(rest.len(), 3, "as many as there are");
    assert_eq!(dry(pool, any(a_worker(), 1)).await, Some(None));
    assert_eq!(pool.stats().await.unwrap().leased, 6);
    assert_eq!(replica.metric("son1k_token_leases", None) as u32, 6);

    release(pool, first[0].lease_id, LeaseOutcome::Ok).await;
    let again = leases(pool, any(a_worker(), 1)).await;
    assert_eq!(again[0].token_id, first[0].token_id);
    assert!(again[0].fencing_token > first[0].fencing_token);

    release(pool, first[0].lease_id, LeaseOutcome::Unauthorized).await;
    assert_eq!(replica.metric("son1k_token_releases_unknown_total", None) as u32, 1);
    assert_eq!(pool.stats().await.unwrap().quarantined, 0, "a lost lease's late word changes nothing");
    replica.stop().await;
}

#[tokio::test]
async fn a_grant_that_is_neither_claimed_nor_renewed_lapses() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |settings| settings.grant_hold = Duration::from_secs(4)).await;
    let pool = &*replica.client;
    import(pool, 1, 2).await;
    let [kept, lapsing] = &leases(pool, any(a_worker(), 2)).await[..] else { panic!("two") };
    let (kept, lapsing) = (kept.lease_id, lapsing.lease_id);
    until(async || {
        assert_eq!(pool.renew(&[kept]).await.unwrap(), [kept]);
        (pool.stats().await.unwrap().leased == 1).then_some(())
    })
    .await;
    assert_eq!(pool.renew(&[kept, lapsing]).await.unwrap(), [kept]);
    replica.stop().await;
}

#[tokio::test]
async fn a_claimed_lease_stands_until_its_work_ends() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |settings| settings.grant_hold = Duration::from_secs(3)).await;
    let pool = &*replica.client;
    import(pool, 1, 2).await;
    ledger.at.customer_of(10).await.submit().await;
    let worker = ledger.at.worker().await;
    let lease = leases(pool, any(worker.id, 1)).await.remove(0);
    let reference = domain::lease::LeaseRef { lease_id: lease.lease_id, token_id: lease.token_id };
    let claimed = ledger.at.work.claim(worker.id, &[reference]).await.unwrap().remove(0);
    // A grant of the same moment, never claimed, shows when claimed ones would have lapsed.
    leases(pool, any(a_worker(), 1)).await;
    until(async || (pool.stats().await.unwrap().leased == 1).then_some(())).await;
    assert_eq!(pool.renew(&[lease.lease_id]).await.unwrap(), [lease.lease_id]);

    // The worker dies with its release unsent; the row's end frees the token all the same.
    worker.succeed(claimed.held).await;
    until(async || (pool.stats().await.unwrap().leased == 0).then_some(())).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_callers_never_use_a_token_beyond_its_concurrency() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |settings| settings.grant_hold = Duration::from_secs(60)).await;
    let pool = &replica.client;
    import(&**pool, 7, 3).await;
    let in_use: Mutex<HashMap<_, u32>> = Mutex::default();
    let callers = (0..64).map(|caller| {
        let in_use = &in_use;
        async move {
            let owner = a_worker();
            for round in 0..15 {
                let request = AcquireRequest { wait_up_to: Duration::from_secs(20), ..any(owner, 1 + caller % 3) };
                let held = leases(&**pool, request).await;
                for lease in &held {
                    let mut in_use = in_use.lock().unwrap();
                    let uses = in_use.entry(lease.token_id).or_default();
                    *uses += 1;
                    assert!(*uses <= 3, "beyond its concurrency in round {round}");
                }
                tokio::task::yield_now().await;
                let outcomes: Vec<_> = held.iter().map(|lease| (lease.lease_id, LeaseOutcome::Ok)).collect();
                for lease in &held {
                    *in_use.lock().unwrap().get_mut(&lease.token_id).unwrap() -= 1;
                }
                pool.release(&outcomes).await.unwrap();
            }
        }
    });
    join_all(callers).await;
    assert_eq!(pool.stats().await.unwrap().leased, 0);
    assert_eq!(replica.metric("son1k_token_releases_unknown_total", None) as u32, 0);
    replica.stop().await;
}

#[tokio::test]
async fn those_who_wait_are_served_in_order() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |settings| settings.grant_hold = Duration::from_secs(60)).await;
    let pool = &*replica.client;
    import(pool, 1, 1).await;
    let held = leases(pool, any(a_worker(), 1)).await.remove(0).lease_id;
    let served = Mutex::new(Vec::new());
    // Each joins the queue behind as many as its place says, and gives back at once what it gets.
    let waits = async |place: usize| {
        until(async || (replica.metric("son1k_token_pool_waiters", None) as usize == place).then_some(())).await;
        let request = AcquireRequest { wait_up_to: Duration::from_secs(15), ..any(a_worker(), 1) };
        let lease = leases(pool, request).await.remove(0);
        served.lock().unwrap().push(place);
        release(pool, lease.lease_id, LeaseOutcome::Ok).await;
    };
    let gives_back = async {
        until(async || (replica.metric("son1k_token_pool_waiters", None) as usize == 3).then_some(())).await;
        assert!(dry(pool, any(a_worker(), 1)).await.is_some());
        release(pool, held, LeaseOutcome::Ok).await;
    };
    futures::join!(waits(0), waits(1), waits(2), gives_back);
    assert_eq!(*served.lock().unwrap(), [0, 1, 2]);
    assert_eq!(pool.stats().await.unwrap().leased, 0);
    replica.stop().await;
}

#[tokio::test]
async fn a_dry_pool_says_when_a_token_frees_and_serves_then() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let pool = &*replica.client;
    let ids = import(pool, 2, 1).await;
    for (id, seconds) in [(ids[0], 30), (ids[1], 4)] {
        let lease = leases(pool, of_token(a_worker(), id)).await.remove(0);
        let limited = LeaseOutcome::RateLimited { retry_after: Some(Duration::from_secs(seconds)) };
        release(pool, lease.lease_id, limited).await;
    }
    let earliest = dry(pool, any(a_worker(), 1)).await.unwrap().unwrap();
    assert!(earliest <= Duration::from_secs(4), "{earliest:?}");
    let later = dry(pool, of_token(a_worker(), ids[0])).await.unwrap().unwrap();
    assert!(later > Duration::from_secs(20), "{later:?}");
    // Waiting for it is enough: nobody needs to ask again.
    let request = AcquireRequest { wait_up_to: Duration::from_secs(10), ..any(a_worker(), 1) };
    assert_eq!(leases(pool, request).await[0].token_id, ids[1]);
    // What cools is on record, so that another leader knows.
    let stored = until(async || {
        let rows = ledger.at.tokens.load().await.unwrap();
        rows.into_iter().find(|row| row.id == ids[0] && row.until.is_some())
    })
    .await;
    assert_eq!(stored.state.name(), "cooling");
    assert_eq!(seen(pool, ids[0]).await.until, stored.until);
    replica.stop().await;
}

#[tokio::test]
async fn a_token_s_starts_keep_to_its_pace() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let pool = &*replica.client;
    let paced = TokenImport { max_concurrency: Some(100), requests_per_minute: Some(20), ..secrets(0, 1).remove(0) };
    pool.import(vec![paced]).await.unwrap();
    assert_eq!(leases(pool, any(a_worker(), 50)).await.len(), 2, "a tenth at once");
    let earliest = dry(pool, any(a_worker(), 1)).await.unwrap().unwrap();
    assert!(earliest <= Duration::from_millis(3_200) && !earliest.is_zero(), "{earliest:?}");
    replica.stop().await;
}

#[tokio::test]
async fn an_expired_token_is_not_leased() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let pool = &*replica.client;
    let ends = ledger.at.now() + Duration::from_millis(300);
    pool.import(vec![TokenImport { expires_at: Some(ends), ..secrets(0, 1).remove(0) }]).await.unwrap();
    until(async || (pool.stats().await.unwrap().usable == 0).then_some(())).await;
    assert!(matches!(pool.acquire(any(a_worker(), 1)).await.unwrap(), Acquired::Dry { earliest: None }));
    assert_eq!(pool.list().await.unwrap()[0].reason.as_deref(), Some("expired"));
    replica.stop().await;
}
