//! Encryption keys: rotation on a live system, and what becomes of tokens whose key is wrong or missing.

use crate::world::{
    Doomed, KEYS, Ledger, Replica, SECRET, a_worker, any, import, leases, ledger, secrets, seen, until,
};
use domain::ids::TokenId;
use domain::ports::pool::PoolError;
use domain::ports::{TokenAdmin, TokenLeases};
use domain::token::{AcquireRequest, Acquired, ImportOutcome, LeaseOutcome, TokenState};
use secrecy::{ExposeSecret, SecretString};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use token_pool::{EncryptionKeys, Settings};
use token_pool_rpc::RemotePool;
use tokio_util::task::TaskTracker;

/// 32 bytes of twos.
const SECOND: &str = "k2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn keys(text: &str) -> EncryptionKeys {
    EncryptionKeys::parse(text).unwrap()
}

/// The second key first, the first one behind it.
fn rotating(settings: &mut Settings) {
    settings.keys = keys(&format!("{SECOND},{KEYS}"));
    (settings.sole, settings.reseal_pause) = (true, Duration::from_millis(20));
}

/// A ledger with as many tokens, sealed by the first key.
async fn filled(count: u32) -> (Ledger, Vec<TokenId>) {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let ids = import(&*replica.client, count, 2).await;
    replica.stop().await;
    (ledger, ids)
}

async fn sealed_by(ledger: &Ledger, key: &str) -> usize {
    ledger.at.tokens.load().await.unwrap().iter().filter(|row| row.sealed.key_id == key).count()
}

#[tokio::test]
async fn rows_are_sealed_anew_by_a_new_first_key_and_the_old_one_may_go() {
    let (ledger, ids) = filled(50).await;
    let replica = Replica::start(&ledger.at, rotating).await;
    // Leases do not wait for it, and imports are sealed by the new key at once.
    assert_eq!(leases(&*replica.client, any(a_worker(), 10)).await.len(), 10);
    let again = replica.client.import(secrets(49, 2)).await.unwrap();
    assert!(matches!(again[..], [ImportOutcome::Duplicate(_), ImportOutcome::Imported(_)]), "{again:?}");
    until(async || (replica.metric("son1k_tokens_on_old_keys", None) as u32 == 0).then_some(())).await;
    assert_eq!((sealed_by(&ledger, "k1").await, sealed_by(&ledger, "k2").await), (0, 51));
    replica.stop().await;

    let replica = Replica::start(&ledger.at, |settings| (settings.keys, settings.sole) = (keys(SECOND), true)).await;
    let all = leases(&*replica.client, any(a_worker(), 1_000)).await;
    let numbers: HashMap<_, _> = ids.iter().copied().zip(0..).collect();
    for lease in all.iter().filter(|lease| numbers.contains_key(&lease.token_id)) {
        assert_eq!(lease.secret.expose_secret(), format!("upstream-secret-{:05}", numbers[&lease.token_id]));
    }
    assert_eq!(replica.client.stats().await.unwrap().quarantined, 0);
    replica.stop().await;
}

/// Callers that lease and release without pause, and know which secret belongs to which token.
struct Load {
    stop: AtomicBool,
    leased: AtomicUsize,
    failure: Mutex<Option<String>>,
}

async fn call(load: Arc<Load>, pool: Arc<RemotePool>, secrets: Arc<HashMap<TokenId, String>>) {
    let owner = a_worker();
    while !load.stop.load(Ordering::Relaxed) {
        // Longer than a failover: whoever waits in line is served by the next leader.
        let request = AcquireRequest { wait_up_to: Duration::from_secs(8), ..any(owner, 2) };
        let held = match pool.acquire(request).await {
            Ok(Acquired::Leases(held)) => held,
            // Between two leaders.
            Err(PoolError::Unavailable(_)) => continue,
            other => {
                *load.failure.lock().unwrap() = Some(format!("{other:?}"));
                continue;
            }
        };
        if held.iter().any(|lease| lease.secret.expose_secret() != secrets[&lease.token_id].as_str()) {
            *load.failure.lock().unwrap() = Some("another token's secret".to_owned());
        }
        load.leased.fetch_add(held.len(), Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
        let outcomes: Vec<_> = held.iter().map(|lease| (lease.lease_id, LeaseOutcome::Ok)).collect();
        // Lost with its leader it frees nothing; the next one knows of no such lease.
        let _either = pool.release(&outcomes).await;
    }
}

/// Where the leader is, once there is one.
async fn leader(replicas: &[Doomed; 2]) -> usize {
    until(async || replicas.iter().position(|doomed| doomed.replica.pool.leads())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_survives_ten_killed_leaders() {
    let (ledger, ids) = filled(400).await;
    let start = |port| {
        Doomed::start(&ledger.at, port, |settings| {
            rotating(settings);
            settings.sole = false;
            (settings.lead_lease, settings.grant) = (Duration::from_secs(1), Duration::from_millis(200));
            settings.reseal_pause = Duration::from_millis(300);
        })
    };
    let mut replicas = [start(0), start(0)];
    let both = replicas.each_ref().map(|doomed| doomed.replica.address.clone()).join(",");
    let client = RemotePool::connect(&both, SecretString::from(SECRET), None).unwrap();
    let secrets: HashMap<_, _> =
        ids.into_iter().zip((0..).map(|number| format!("upstream-secret-{number:05}"))).collect();
    let secrets = Arc::new(secrets);
    let load = Arc::new(Load { stop: false.into(), leased: 0.into(), failure: Mutex::default() });
    let callers = TaskTracker::new();
    for _ in 0..4 {
        callers.spawn(call(load.clone(), client.clone(), secrets.clone()));
    }

    let mut resealed = 0;
    for _ in 0..10 {
        let leading = leader(&replicas).await;
        // In the middle of it: some rows more are sealed anew, and some are not.
        resealed = until(async || Some(sealed_by(&ledger, "k2").await).filter(|now| *now > resealed)).await;
        assert!(resealed < 400, "rotated before the last kill");
        let port = replicas[leading].port();
        let [first, second] = replicas;
        let (killed, heir) = if leading == 0 { (first, second) } else { (second, first) };
        killed.kill();
        replicas = [start(port), heir];
    }
    until(async || (sealed_by(&ledger, "k1").await == 0).then_some(())).await;
    load.stop.store(true, Ordering::Relaxed);
    callers.close();
    callers.wait().await;
    let leased = load.leased.load(Ordering::Relaxed);
    assert_eq!(*load.failure.lock().unwrap(), None, "the last of those that failed, beside {leased} leases");
    assert!(leased > 100, "{leased} leases are no load");
    for doomed in replicas {
        doomed.stop().await;
    }

    // The new key alone opens everything.
    let replica = Replica::start(&ledger.at, |settings| (settings.keys, settings.sole) = (keys(SECOND), true)).await;
    let all = leases(&*replica.client, any(a_worker(), 1_000)).await;
    assert_eq!(all.len(), 800);
    assert!(all.iter().all(|lease| lease.secret.expose_secret() == secrets[&lease.token_id].as_str()));
    replica.stop().await;
}

/// As many tokens, all of them quarantined by the first answer and none ever leased; put right, they come back.
async fn quarantines_all(wrong: &str) {
    let (ledger, ids) = filled(60).await;
    let replica = Replica::start(&ledger.at, |settings| (settings.keys, settings.sole) = (keys(wrong), true)).await;
    assert!(matches!(replica.client.acquire(any(a_worker(), 100)).await.unwrap(), Acquired::Dry { .. }));
    assert_eq!(replica.client.stats().await.unwrap().quarantined, 60);
    assert_eq!(replica.metric("son1k_tokens", Some("quarantined")) as u32, 60);
    assert_eq!(replica.metric("son1k_token_pool_low", None) as u32, 1);
    assert_eq!(seen(&*replica.client, ids[0]).await.state, TokenState::Quarantined);
    replica.stop().await;
    // Nothing was sealed anew from what does not open.
    assert_eq!(sealed_by(&ledger, "k1").await, 60);

    let replica = Replica::start(&ledger.at, |settings| settings.sole = true).await;
    let all = leases(&*replica.client, any(a_worker(), 1_000)).await;
    let numbers: HashMap<_, _> = ids.iter().copied().zip(0..).collect();
    for lease in &all {
        assert_eq!(lease.secret.expose_secret(), format!("upstream-secret-{:05}", numbers[&lease.token_id]));
    }
    let back: HashSet<_> = all.iter().map(|lease| lease.token_id).collect();
    assert_eq!(back.len(), 60, "each of them, if only for a trial");
    replica.stop().await;
}

#[tokio::test]
async fn with_a_wrong_key_of_the_right_name_no_token_is_leased() {
    quarantines_all("k1:CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=").await;
}

#[tokio::test]
async fn without_their_key_no_token_is_leased() {
    quarantines_all(SECOND).await;
}
