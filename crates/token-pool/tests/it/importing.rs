//! Importing: the pool's range, duplicates, what is refused, and what becomes of rows that were tampered with.

use crate::world::{KEYS, Replica, a_worker, any, dry, import, leases, ledger, secrets, seen, settings, until};
use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{TokenId, WorkerId};
use domain::ports::StoreError;
use domain::ports::pool::PoolError;
use domain::ports::tokens::{Epoch, Guarded, Leadership};
use domain::ports::{TokenAdmin, Tokens};
use domain::token::{ImportOutcome, NamedLease, PoolStatus, SealedSecret, TokenImport, TokenRecord, TokenState};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;
use token_pool::{EncryptionKeys, Pool};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn the_pool_is_low_at_49_well_at_50_full_at_2000() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let pool = &*replica.client;
    let status = async || pool.stats().await.unwrap().status();

    assert_eq!(status().await, PoolStatus::Empty);
    pool.import(secrets(0, 49)).await.unwrap();
    assert_eq!(status().await, PoolStatus::Low);
    pool.import(secrets(49, 1)).await.unwrap();
    assert_eq!(status().await, PoolStatus::Ok);
    assert_eq!(replica.metric("son1k_tokens", Some("usable")) as u32, 50);
    assert_eq!(replica.metric("son1k_tokens_min", None) as u32, 50);

    pool.import(secrets(50, 1_000)).await.unwrap();
    let last = pool.import(secrets(1_050, 951)).await.unwrap();
    let (refused, taken) = last.split_last().unwrap();
    assert!(taken.iter().all(|outcome| matches!(outcome, ImportOutcome::Imported(_))));
    assert_eq!(*refused, ImportOutcome::PoolFull, "the 2,001st");
    assert_eq!(pool.stats().await.unwrap().usable, 2_000);
    assert_eq!(pool.list().await.unwrap().len(), 2_000);

    // One that is disabled makes room for one.
    let first = pool.list().await.unwrap()[0].id;
    assert_eq!(pool.disable(first).await.unwrap().unwrap().state, TokenState::Disabled);
    assert!(matches!(
        pool.import(secrets(2_000, 2)).await.unwrap()[..],
        [ImportOutcome::Imported(_), ImportOutcome::PoolFull]
    ));
    replica.stop().await;
}

#[tokio::test]
async fn a_secret_that_is_there_already_keeps_its_token() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let ids = import(&*replica.client, 2, 3).await;
    let again = replica.client.import(secrets(0, 3)).await.unwrap();
    assert_eq!(again[..2], [ImportOutcome::Duplicate(ids[0]), ImportOutcome::Duplicate(ids[1])]);
    assert!(matches!(again[2], ImportOutcome::Imported(_)));
    assert_eq!(seen(&*replica.client, ids[0]).await.max_concurrency, 3);
    replica.stop().await;
}

#[tokio::test]
async fn a_secret_is_known_again_though_the_key_of_the_fingerprints_has_changed() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let ids = import(&*replica.client, 2, 3).await;
    replica.stop().await;
    let replica = Replica::start(&ledger.at, |settings| {
        settings.fingerprint_key = SecretString::from("another internal secret");
        settings.sole = true;
    })
    .await;
    let mixed = [secrets(1, 2), secrets(0, 1), secrets(2, 1)].concat();
    let again = replica.client.import(mixed).await.unwrap();
    let [known, ImportOutcome::Imported(new), also_known, twice] = &again[..] else { panic!("{again:?}") };
    assert_eq!([known, also_known], [&ImportOutcome::Duplicate(ids[1]), &ImportOutcome::Duplicate(ids[0])]);
    assert_eq!(*twice, ImportOutcome::Duplicate(*new));
    replica.stop().await;
}

#[tokio::test]
async fn imports_that_cannot_be_are_refused_whole() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let one = || secrets(0, 1).remove(0);
    for tokens in [
        secrets(0, 1_001),
        vec![],
        vec![one(), TokenImport { secret: SecretString::from(" "), ..one() }],
        vec![TokenImport { secret: SecretString::from("two\nlines"), ..one() }],
        vec![TokenImport { secret: SecretString::from("x".repeat(4_097)), ..one() }],
        vec![TokenImport { max_concurrency: Some(0), ..one() }],
        vec![TokenImport { requests_per_minute: Some(0), ..one() }],
    ] {
        assert!(matches!(replica.client.import(tokens).await, Err(PoolError::Denied(_))));
    }
    assert_eq!(replica.client.list().await.unwrap(), []);
    replica.stop().await;
}

#[tokio::test]
async fn secrets_show_nowhere_but_in_a_lease() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    import(&*replica.client, 1, 2).await;
    let leases = leases(&*replica.client, any(a_worker(), 2)).await;
    assert_eq!(leases[0].secret.expose_secret(), "upstream-secret-00000");
    let stored = ledger.at.tokens.load().await.unwrap();
    let listed = replica.client.list().await.unwrap();
    let shown = format!("{leases:?} {stored:?} {listed:?} {:?} {:?}", replica.pool, replica.client);
    assert!(!shown.contains("upstream-secret") && !shown.contains("a shared secret"), "{shown}");
    let sealed = &stored[0].sealed;
    let needle = b"upstream-secret";
    assert!(
        ![&sealed.ciphertext, &sealed.wrapped_key]
            .iter()
            .any(|bytes| bytes.windows(needle.len()).any(|part| part == needle))
    );
    replica.stop().await;
}

/// Two rows whose sealed secrets have changed places, one with a flipped bit, one sealed by a key that nobody has, and a good one.
async fn tampered(at: &conformance::Fixture) -> Vec<TokenRecord> {
    let replica = Replica::start(at, |_| {}).await;
    import(&*replica.client, 5, 1).await;
    replica.stop().await;
    let mut rows = at.tokens.load().await.unwrap();
    let first = rows[0].sealed.clone();
    rows[0].sealed = std::mem::replace(&mut rows[1].sealed, first);
    rows[2].sealed.ciphertext[30] ^= 1;
    let foreign = EncryptionKeys::parse(&KEYS.replace("k1:", "k0:")).unwrap();
    rows[3].sealed = foreign.seal(rows[3].id, &SecretString::from("upstream-secret-00003")).unwrap();
    rows
}

#[tokio::test]
async fn rows_that_were_swapped_or_damaged_are_quarantined_and_never_leased() {
    let rows = tampered(&ledger().await.at).await;
    let other = ledger().await;
    let hand = settings(&other.at).replica;
    let Leadership::Leader(epoch) = other.at.tokens.lead(hand, "", Duration::from_secs(5)).await.unwrap() else {
        panic!("somebody leads an empty ledger");
    };
    assert_eq!(epoch, Epoch(1));
    other.at.tokens.import(epoch, rows.clone(), 10).await.unwrap().unwrap();
    other.at.tokens.resign(hand).await.unwrap();

    let replica = Replica::start(&other.at, |settings| settings.sole = true).await;
    let got = leases(&*replica.client, any(a_worker(), 10)).await;
    assert_eq!(got.iter().map(|lease| lease.token_id).collect::<Vec<_>>(), [rows[4].id]);
    assert_eq!(dry(&*replica.client, any(a_worker(), 1)).await, Some(None));
    for row in &rows[..4] {
        let view = seen(&*replica.client, row.id).await;
        assert_eq!(view.state, TokenState::Quarantined);
        assert!(view.reason.unwrap().contains("does not open"));
        // Nobody can vouch for what cannot be read.
        assert_eq!(replica.client.reinstate(row.id).await.unwrap().unwrap().state, TokenState::Quarantined);
        let stored = other.at.tokens.load().await.unwrap().into_iter().find(|stored| stored.id == row.id).unwrap();
        assert_eq!(stored.state, TokenState::Quarantined);
    }
    replica.stop().await;
}

/// A ledger that commits imports and loses the answer.
struct Forgetful(Arc<dyn Tokens>);

#[async_trait]
impl Tokens for Forgetful {
    async fn lead(&self, replica: WorkerId, address: &str, lease: Duration) -> Result<Leadership, StoreError> {
        self.0.lead(replica, address, lease).await
    }

    async fn resign(&self, replica: WorkerId) -> Result<(), StoreError> {
        self.0.resign(replica).await
    }

    async fn load(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.0.load().await
    }

    async fn import(
        &self,
        epoch: Epoch,
        tokens: Vec<TokenRecord>,
        max: u32,
    ) -> Result<Option<Vec<ImportOutcome>>, StoreError> {
        self.0.import(epoch, tokens, max).await?;
        Err(StoreError::InDoubt("the connection went".to_owned()))
    }

    async fn set_state(
        &self,
        epoch: Epoch,
        id: TokenId,
        state: TokenState,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Result<Guarded, StoreError> {
        self.0.set_state(epoch, id, state, until, reason).await
    }

    async fn reseal(&self, epoch: Epoch, id: TokenId, sealed: SealedSecret) -> Result<Guarded, StoreError> {
        self.0.reseal(epoch, id, sealed).await
    }

    async fn delete(&self, epoch: Epoch, id: TokenId) -> Result<Guarded, StoreError> {
        self.0.delete(epoch, id).await
    }

    async fn leases(&self) -> Result<Vec<NamedLease>, StoreError> {
        self.0.leases().await
    }
}

#[tokio::test]
async fn an_import_in_doubt_is_found_by_itself() {
    let ledger = ledger().await;
    let store = Arc::new(Forgetful(ledger.at.tokens.clone()));
    let (stop, registry) = (CancellationToken::new(), prometheus::Registry::new());
    let pool = Pool::start(settings(&ledger.at), store, ledger.at.clock.clone(), None, &registry, stop.clone()).await;
    let pool = pool.unwrap();
    assert!(matches!(pool.import(secrets(0, 3)).await, Err(PoolError::Unavailable(_))));
    until(async || (pool.stats().await.unwrap().usable == 3).then_some(())).await;
    assert_eq!(leases(&*pool, any(a_worker(), 3)).await.len(), 3);
    stop.cancel();
    pool.stopped().await;
}
