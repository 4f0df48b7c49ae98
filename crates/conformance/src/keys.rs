//! API keys: from their making to their end, and the system account's one.

use crate::fixture::{Customer, Fixture};
use chrono::TimeDelta;
use domain::account::{AccountStatus, KeyRecord, Overrides};
use domain::api_key::KeyHash;
use domain::ids::{AccountId, KeyId};
use domain::page::PageRequest;
use domain::ports::accounts::{AccountChange, AccountFilter, NewAccount, NewKey};
use domain::ports::operators::{Acted, Order, Outcome};
use domain::tier::Tier;
use futures::future::join_all;
use std::time::Duration;

fn a_key(at: &Fixture, account_id: AccountId) -> NewKey {
    NewKey {
        id: KeyId::new(at.now(), rand::random()),
        account_id,
        name: "ci".to_owned(),
        prefix: "son1k_live_abcde".to_owned(),
        hash: KeyHash(rand::random()),
        expires_at: None,
    }
}

async fn opens(at: &Fixture, key: &NewKey) -> bool {
    at.accounts.authenticate(&key.hash).await.unwrap().is_some()
}

async fn made_for(at: &Fixture, customer: &Customer<'_>) -> NewKey {
    let key = a_key(at, customer.id);
    assert!(at.accounts.create_key(key.clone()).await.unwrap().is_some());
    key
}

pub async fn a_key_lives_from_its_making_to_its_end(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let key = a_key(at, customer.id);
    assert!(!opens(at, &key).await);
    let record = at.accounts.create_key(key.clone()).await.unwrap().unwrap();
    assert_eq!((record.id, record.account_id), (key.id, customer.id));
    assert_eq!((record.name.as_str(), record.prefix.as_str()), ("ci", "son1k_live_abcde"));
    assert_eq!((record.expires_at, record.revoked_at), (None, None));
    let principal = at.accounts.authenticate(&key.hash).await.unwrap().unwrap();
    assert_eq!((principal.key_id, &principal.account), (key.id, &customer.account));
    // A suspended account is known; what it may do is not the key's business.
    let change = AccountChange { status: Some(AccountStatus::Suspended), ..AccountChange::default() };
    at.change(customer.id, change).await;
    let principal = at.accounts.authenticate(&key.hash).await.unwrap().unwrap();
    assert_eq!(principal.account.status, AccountStatus::Suspended);

    let ended = at.revoke(customer.id, key.id).await.unwrap();
    assert!(ended.revoked_at.is_some());
    assert!(!opens(at, &key).await);
    // Once ended it stays so, and when it ended too.
    let again = at.revoke(customer.id, key.id).await.unwrap();
    assert_eq!(again.revoked_at, ended.revoked_at);
    assert!(!opens(at, &key).await);
    assert_eq!(at.accounts.keys(customer.id).await.unwrap(), [again]);
    assert_eq!(at.accounts.create_key(a_key(at, AccountId::new(at.now(), rand::random()))).await.unwrap(), None);
}

pub async fn an_expired_key_does_not_authenticate(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let past = NewKey { expires_at: Some(at.now() - TimeDelta::seconds(1)), ..a_key(at, customer.id) };
    let future = NewKey { expires_at: Some(at.now() + TimeDelta::hours(1)), ..a_key(at, customer.id) };
    for key in [&past, &future] {
        at.accounts.create_key(key.clone()).await.unwrap().unwrap();
    }
    assert_eq!((opens(at, &past).await, opens(at, &future).await), (false, true));
}

pub async fn a_rotated_key_overlaps(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let key = made_for(at, &customer).await;
    let hour = Duration::from_secs(3_600);
    let second = a_key(at, customer.id);
    let (made, ending) = rotated(at, &key, hour, &second).await.unwrap();
    assert_eq!((made.id, made.expires_at, ending.id), (second.id, None, key.id));
    let left = ending.expires_at.unwrap() - at.now();
    assert!(left > TimeDelta::minutes(58) && left <= TimeDelta::minutes(61), "{left}");
    assert!(opens(at, &key).await && opens(at, &second).await);
    // An end is never put off.
    let (_, later) = rotated(at, &key, 2 * hour, &a_key(at, customer.id)).await.unwrap();
    assert_eq!(later.expires_at, ending.expires_at);
    // Without an overlap the old one ends with the order.
    let third = a_key(at, customer.id);
    let (_, ended) = rotated(at, &key, Duration::ZERO, &third).await.unwrap();
    assert!(ended.revoked_at.is_some());
    assert!(!opens(at, &key).await && opens(at, &third).await);
    assert_eq!(at.accounts.keys(customer.id).await.unwrap().len(), 4);
}

async fn rotated(at: &Fixture, old: &NewKey, overlap: Duration, new: &NewKey) -> Option<(KeyRecord, KeyRecord)> {
    match at.ordered(Order::RotateKey { old: old.id, overlap, new: new.clone() }).await {
        Acted::Done(Outcome::Rotated { new, old }) => Some((new, old)),
        Acted::NotFound => None,
        other => panic!("{other:?}"),
    }
}

pub async fn a_key_that_has_ended_is_not_rotated(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let revoked = made_for(at, &customer).await;
    at.revoke(customer.id, revoked.id).await.unwrap();
    let expired = NewKey { expires_at: Some(at.now() - TimeDelta::seconds(1)), ..a_key(at, customer.id) };
    at.accounts.create_key(expired.clone()).await.unwrap().unwrap();
    let unknown = a_key(at, customer.id);
    for old in [&revoked, &expired, &unknown] {
        let new = a_key(at, customer.id);
        assert_eq!(rotated(at, old, Duration::from_secs(60), &new).await, None);
        assert!(!opens(at, &new).await);
    }
    assert_eq!(at.accounts.keys(customer.id).await.unwrap().len(), 2);
}

pub async fn another_accounts_key_cannot_be_ended(at: &Fixture) {
    let (one, two) = (at.customer(Tier::Pro).await, at.customer(Tier::Pro).await);
    let key = made_for(at, &one).await;
    assert_eq!(at.revoke(two.id, key.id).await, None);
    assert_eq!(rotated(at, &key, Duration::ZERO, &a_key(at, two.id)).await, None);
    assert!(opens(at, &key).await);
    assert_eq!(at.accounts.keys(two.id).await.unwrap(), []);
    let unknown = KeyId::new(at.now(), rand::random());
    assert_eq!(at.revoke(one.id, unknown).await, None);
}

fn the_system(at: &Fixture) -> (NewAccount, NewKey) {
    let id = AccountId::new(at.now(), rand::random());
    let account =
        NewAccount { id, name: "System".to_owned(), email: None, tier: Tier::System, overrides: Overrides::default() };
    (account, a_key(at, id))
}

async fn system_accounts(at: &Fixture) -> Vec<AccountId> {
    let filter = AccountFilter { tier: Some(Tier::System), text: None };
    let found = at.accounts.list(&filter, PageRequest::default()).await.unwrap();
    found.items.into_iter().map(|account| account.id).collect()
}

pub async fn the_system_account_has_one_key(at: &Fixture) {
    let (account, key) = the_system(at);
    at.accounts.ensure_system(account.clone(), key.clone()).await.unwrap();
    let first = at.accounts.authenticate(&key.hash).await.unwrap().unwrap();
    assert_eq!(first.account.tier, Tier::System);
    // The same again, as every gateway's start does, with ids of its own.
    let (again, other_key) = the_system(at);
    at.accounts.ensure_system(again.clone(), NewKey { hash: key.hash, ..other_key.clone() }).await.unwrap();
    assert_eq!(at.accounts.authenticate(&key.hash).await.unwrap().unwrap().account, first.account);
    // The operator changed the key: the old one is over.
    at.accounts.ensure_system(again, other_key.clone()).await.unwrap();
    assert_eq!((opens(at, &key).await, opens(at, &other_key).await), (false, true));
    assert_eq!(system_accounts(at).await, [first.account.id]);
    // And back again.
    at.accounts.ensure_system(account, key.clone()).await.unwrap();
    assert_eq!((opens(at, &key).await, opens(at, &other_key).await), (true, false));
}

pub async fn gateways_that_start_at_once_make_one_system_account(at: &Fixture) {
    let hash = KeyHash(rand::random());
    let starts = (0..6).map(|_| {
        let (account, key) = the_system(at);
        at.accounts.ensure_system(account, NewKey { hash, ..key })
    });
    for started in join_all(starts).await {
        started.unwrap();
    }
    assert_eq!(system_accounts(at).await.len(), 1);
    assert!(at.accounts.authenticate(&hash).await.unwrap().is_some());
}
