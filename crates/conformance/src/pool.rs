//! The token pool's records: one leader under a growing epoch, imports without duplicates, states, and the leases that live work names.

use crate::fixture::{Fixture, LONG_LEASE};
use chrono::{DurationRound, TimeDelta};
use domain::ids::{TokenId, WorkerId};
use domain::ports::tokens::{Epoch, Guarded, Leadership};
use domain::tier::Tier;
use domain::token::{ImportOutcome, SealedSecret, TokenRecord, TokenState};
use futures::future::join_all;
use std::time::Duration;

fn a_replica(at: &Fixture) -> WorkerId {
    WorkerId::new(at.now(), rand::random())
}

async fn lead(at: &Fixture) -> Epoch {
    match at.tokens.lead(a_replica(at), "10.0.0.1:50051", LONG_LEASE).await.unwrap() {
        Leadership::Leader(epoch) => epoch,
        other => panic!("{other:?}"),
    }
}

fn a_token(at: &Fixture, fingerprint: u8) -> TokenRecord {
    // Both stores keep microseconds.
    let now = at.now().duration_trunc(TimeDelta::microseconds(1)).unwrap();
    TokenRecord {
        id: TokenId::new(at.now(), rand::random()),
        label: Some(format!("token {fingerprint}")),
        sealed: SealedSecret { key_id: "k1".to_owned(), wrapped_key: vec![1; 48], ciphertext: vec![2; 90] },
        fingerprint: [fingerprint; 32],
        max_concurrency: 10,
        requests_per_minute: Some(60),
        expires_at: Some(now + TimeDelta::days(30)),
        state: TokenState::Usable,
        until: None,
        reason: None,
        created_at: now,
    }
}

pub async fn one_replica_leads_and_the_other_follows(at: &Fixture) {
    let (one, two) = (a_replica(at), a_replica(at));
    let Leadership::Leader(epoch) = at.tokens.lead(one, "one:50051", LONG_LEASE).await.unwrap() else {
        panic!("nobody leads")
    };
    let follower = at.tokens.lead(two, "two:50051", LONG_LEASE).await.unwrap();
    assert_eq!(follower, Leadership::Follower { leader: "one:50051".to_owned() });
    assert_eq!(at.tokens.lead(one, "one:50051", LONG_LEASE).await.unwrap(), Leadership::Leader(epoch));
    // Only the leader can resign.
    at.tokens.resign(two).await.unwrap();
    assert!(matches!(at.tokens.lead(two, "two:50051", LONG_LEASE).await.unwrap(), Leadership::Follower { .. }));
}

pub async fn a_new_leader_raises_the_epoch_and_the_old_one_is_refused(at: &Fixture) {
    let (one, two, three) = (a_replica(at), a_replica(at), a_replica(at));
    let Leadership::Leader(first) = at.tokens.lead(one, "one", Duration::ZERO).await.unwrap() else {
        panic!("nobody leads")
    };
    let token = a_token(at, 1);
    assert!(at.tokens.import(first, vec![token.clone()], 10).await.unwrap().is_some());
    // Its lease ran out at once.
    let Leadership::Leader(second) = at.tokens.lead(two, "two", LONG_LEASE).await.unwrap() else {
        panic!("not taken over")
    };
    assert!(second > first);
    let disable = |epoch| at.tokens.set_state(epoch, token.id, TokenState::Disabled, None, None);
    assert_eq!(disable(first).await.unwrap(), Guarded::StaleEpoch);
    assert_eq!(at.tokens.delete(first, token.id).await.unwrap(), Guarded::StaleEpoch);
    assert_eq!(at.tokens.import(first, vec![a_token(at, 2)], 10).await.unwrap(), None);
    assert_eq!(at.tokens.load().await.unwrap(), std::slice::from_ref(&token));
    assert!(matches!(at.tokens.lead(one, "one", LONG_LEASE).await.unwrap(), Leadership::Follower { .. }));
    // One that resigns does not make the next wait.
    at.tokens.resign(two).await.unwrap();
    let Leadership::Leader(third) = at.tokens.lead(three, "three", LONG_LEASE).await.unwrap() else {
        panic!("not taken over")
    };
    assert!(third > second);
    assert_eq!(disable(second).await.unwrap(), Guarded::StaleEpoch);
    assert_eq!(disable(third).await.unwrap(), Guarded::Done);
}

pub async fn replicas_at_once_elect_one_leader(at: &Fixture) {
    let replicas: Vec<_> = (0..6).map(|_| a_replica(at)).collect();
    let tries = replicas.iter().map(|replica| at.tokens.lead(*replica, "here", LONG_LEASE));
    let outcomes = join_all(tries).await;
    let leaders = outcomes.iter().filter(|o| matches!(o, Ok(Leadership::Leader(_)))).count();
    let followers = outcomes.iter().filter(|o| matches!(o, Ok(Leadership::Follower { .. }))).count();
    assert_eq!((leaders, followers), (1, 5));
}

pub async fn an_import_answers_each_token(at: &Fixture) {
    let epoch = lead(at).await;
    let (one, two, three) = (a_token(at, 1), a_token(at, 2), a_token(at, 3));
    let twin = TokenRecord { label: Some("again".to_owned()), max_concurrency: 1, ..a_token(at, 1) };
    let batch = vec![one.clone(), twin.clone(), two.clone(), three.clone()];
    let outcomes = at.tokens.import(epoch, batch, 2).await.unwrap().unwrap();
    assert_eq!(
        outcomes,
        [
            ImportOutcome::Imported(one.id),
            ImportOutcome::Duplicate(one.id),
            ImportOutcome::Imported(two.id),
            ImportOutcome::PoolFull,
        ]
    );
    // A full pool still knows what it has.
    let outcomes = at.tokens.import(epoch, vec![twin, three], 2).await.unwrap().unwrap();
    assert_eq!(outcomes, [ImportOutcome::Duplicate(one.id), ImportOutcome::PoolFull]);
    let mut loaded = at.tokens.load().await.unwrap();
    loaded.sort_by_key(|token| token.fingerprint);
    assert_eq!(loaded, [one, two]);
    assert_eq!(at.tokens.import(epoch, vec![], 2).await.unwrap(), Some(vec![]));
}

pub async fn tokens_that_do_not_count_make_room(at: &Fixture) {
    let epoch = lead(at).await;
    let expired = TokenRecord { expires_at: Some(a_token(at, 1).created_at - TimeDelta::seconds(1)), ..a_token(at, 1) };
    let (one, two, three) = (a_token(at, 2), a_token(at, 3), a_token(at, 4));
    at.tokens.import(epoch, vec![expired, one.clone()], 1).await.unwrap().unwrap();
    let full = at.tokens.import(epoch, vec![two.clone()], 1).await.unwrap().unwrap();
    assert_eq!(full, [ImportOutcome::PoolFull]);
    at.tokens.set_state(epoch, one.id, TokenState::Disabled, None, None).await.unwrap();
    let outcomes = at.tokens.import(epoch, vec![two.clone()], 1).await.unwrap().unwrap();
    assert_eq!(outcomes, [ImportOutcome::Imported(two.id)]);
    assert_eq!(at.tokens.delete(epoch, two.id).await.unwrap(), Guarded::Done);
    let outcomes = at.tokens.import(epoch, vec![three.clone()], 1).await.unwrap().unwrap();
    assert_eq!(outcomes, [ImportOutcome::Imported(three.id)]);
}

pub async fn states_are_kept(at: &Fixture) {
    let epoch = lead(at).await;
    let token = a_token(at, 1);
    at.tokens.import(epoch, vec![token.clone()], 10).await.unwrap();
    let until = Some(token.created_at + TimeDelta::seconds(30));
    let reason = Some("429 from the upstream".to_owned());
    for (state, until, reason) in [
        (TokenState::Cooling, until, reason.clone()),
        (TokenState::Quarantined, None, reason),
        (TokenState::Exhausted, None, None),
        (TokenState::Disabled, None, None),
        (TokenState::Usable, None, None),
    ] {
        assert_eq!(at.tokens.set_state(epoch, token.id, state, until, reason.clone()).await.unwrap(), Guarded::Done);
        assert_eq!(at.tokens.load().await.unwrap(), [TokenRecord { state, until, reason, ..token.clone() }]);
    }
    let unknown = TokenId::new(at.now(), rand::random());
    let set = at.tokens.set_state(epoch, unknown, TokenState::Usable, None, None).await.unwrap();
    assert_eq!(set, Guarded::NotFound);
    assert_eq!(at.tokens.delete(epoch, unknown).await.unwrap(), Guarded::NotFound);
    assert_eq!(at.tokens.delete(epoch, token.id).await.unwrap(), Guarded::Done);
    assert_eq!(at.tokens.load().await.unwrap(), []);
}

pub async fn a_secret_is_sealed_anew_and_nothing_else_changes(at: &Fixture) {
    let (first, other) = (a_token(at, 1), a_token(at, 2));
    let Leadership::Leader(old) = at.tokens.lead(a_replica(at), "old", Duration::ZERO).await.unwrap() else {
        panic!("nobody leads")
    };
    at.tokens.import(old, vec![first.clone(), other.clone()], 10).await.unwrap();
    let until = Some(first.created_at + TimeDelta::seconds(30));
    let reason = Some("429 from the upstream".to_owned());
    at.tokens.set_state(old, first.id, TokenState::Cooling, until, reason.clone()).await.unwrap();
    let sealed = SealedSecret { key_id: "k2".to_owned(), wrapped_key: vec![3; 72], ciphertext: vec![4; 120] };
    let epoch = lead(at).await;
    assert_eq!(at.tokens.reseal(old, first.id, sealed.clone()).await.unwrap(), Guarded::StaleEpoch);
    assert_eq!(at.tokens.reseal(epoch, first.id, sealed.clone()).await.unwrap(), Guarded::Done);
    // Once more is the same.
    assert_eq!(at.tokens.reseal(epoch, first.id, sealed.clone()).await.unwrap(), Guarded::Done);
    let mut loaded = at.tokens.load().await.unwrap();
    loaded.sort_by_key(|token| token.fingerprint);
    let resealed = TokenRecord { sealed: sealed.clone(), state: TokenState::Cooling, until, reason, ..first };
    assert_eq!(loaded, [resealed, other]);
    let unknown = TokenId::new(at.now(), rand::random());
    assert_eq!(at.tokens.reseal(epoch, unknown, sealed).await.unwrap(), Guarded::NotFound);
}

pub async fn live_work_names_its_leases(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let (dying, other) = (at.worker().await, at.worker().await);
    customer.submit_many(2).await;
    let claimed = dying.render_one().await;
    let named = at.tokens.leases().await.unwrap();
    assert_eq!(
        named.iter().map(|lease| (lease.lease_id, lease.token_id, lease.owner)).collect::<Vec<_>>(),
        [(claimed.lease.lease_id, claimed.lease.token_id, Some(dying.id))]
    );
    // A dead worker's render keeps its token, nobody's meanwhile.
    dying.retire().await;
    assert_eq!(at.tokens.leases().await.unwrap()[0].owner, None);
    let adopted = other.adopt().await;
    let named = at.tokens.leases().await.unwrap();
    assert_eq!((named.len(), named[0].lease_id, named[0].owner), (1, claimed.lease.lease_id, Some(other.id)));
    other.succeed(adopted[0].held).await;
    assert_eq!(at.tokens.leases().await.unwrap(), []);
}
