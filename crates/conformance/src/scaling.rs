//! What every store must do for the autoscaler: one leader under a growing epoch, the load as it is, and the last decision for everybody.

use crate::fixture::{Fixture, LONG_LEASE};
use chrono::TimeDelta;
use domain::ids::{TokenId, WorkerId};
use domain::lease::LeaseRef;
use domain::ports::tokens::{Epoch, Guarded, Leadership};
use domain::ports::work::Load;
use domain::scaling::{Inputs, Observed, Policy, Standing, decide};
use domain::tier::Tier;
use domain::token::{SealedSecret, TokenRecord, TokenState};
use futures::future::join_all;
use std::time::Duration;

fn a_replica(at: &Fixture) -> WorkerId {
    WorkerId::new(at.now(), rand::random())
}

async fn observed(at: &Fixture) -> Observed {
    at.scaling.observe().await.unwrap().0
}

fn a_standing(at: &Fixture, observed: Observed) -> Standing {
    let inputs = Inputs { current: 1, observed };
    let decision = decide(&Policy::default(), None, &inputs, at.now());
    Standing { controller: "advise".to_owned(), min: 1, max: 10, inputs, decision, failure: None }
}

pub async fn one_replica_leads_the_scaling(at: &Fixture) {
    let (one, two) = (a_replica(at), a_replica(at));
    let first = at.scaling.lead_scaling(one, LONG_LEASE).await.unwrap();
    assert!(first.is_some());
    assert_eq!(at.scaling.lead_scaling(two, LONG_LEASE).await.unwrap(), None);
    assert_eq!(at.scaling.lead_scaling(one, LONG_LEASE).await.unwrap(), first, "a renewal keeps the epoch");
    // Only the leader can resign, and then nobody waits.
    at.scaling.resign_scaling(two).await.unwrap();
    assert_eq!(at.scaling.lead_scaling(two, LONG_LEASE).await.unwrap(), None);
    at.scaling.resign_scaling(one).await.unwrap();
    assert!(at.scaling.lead_scaling(two, LONG_LEASE).await.unwrap() > first);
}

pub async fn replicas_at_once_elect_one_scaler(at: &Fixture) {
    let replicas: Vec<_> = (0..6).map(|_| a_replica(at)).collect();
    let outcomes = join_all(replicas.iter().map(|replica| at.scaling.lead_scaling(*replica, LONG_LEASE))).await;
    let leaders = outcomes.into_iter().filter(|outcome| outcome.as_ref().unwrap().is_some()).count();
    assert_eq!(leaders, 1);
}

pub async fn only_the_leader_writes_the_decision(at: &Fixture) {
    assert_eq!(at.scaling.standing().await.unwrap(), None);
    let standing = a_standing(at, observed(at).await);
    let first = at.scaling.lead_scaling(a_replica(at), Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(at.scaling.record(first, &standing).await.unwrap(), Guarded::Done);
    let second = at.scaling.lead_scaling(a_replica(at), LONG_LEASE).await.unwrap().unwrap();
    let failure = Some("the platform does not answer".to_owned());
    let later = Standing { controller: "docker".to_owned(), failure, ..standing.clone() };
    assert_eq!(at.scaling.record(first, &later).await.unwrap(), Guarded::StaleEpoch);
    assert_eq!(at.scaling.standing().await.unwrap().map(|(standing, _)| standing), Some(standing));
    assert_eq!(at.scaling.record(second, &later).await.unwrap(), Guarded::Done);
    let (read, age) = at.scaling.standing().await.unwrap().unwrap();
    assert_eq!(read, later);
    assert!(age < Duration::from_secs(60), "{age:?}");
    assert_eq!(at.scaling.record(Epoch(second.0 + 1), &later).await.unwrap(), Guarded::StaleEpoch);
}

pub async fn workers_and_their_cpu_are_measured(at: &Fixture) {
    assert_eq!((observed(at).await.workers, observed(at).await.cpu, observed(at).await.slots), (0, None, 0));
    let fleet = [at.worker().await, at.worker().await, at.worker().await];
    assert_eq!((observed(at).await.workers, observed(at).await.cpu, observed(at).await.slots), (3, None, 50));
    let load = |cpu, draining| Load { cpu, draining, ..Load::default() };
    at.work.renew(fleet[0].id, LONG_LEASE, load(Some(0.5), false)).await.unwrap();
    assert_eq!(observed(at).await.cpu, None, "one of three says nothing of all");
    at.work.renew(fleet[1].id, LONG_LEASE, load(Some(1.0), false)).await.unwrap();
    assert_eq!(observed(at).await.cpu, Some(0.75));
    // Whoever drains, or is dead, is no part of it.
    at.work.renew(fleet[1].id, LONG_LEASE, load(Some(1.0), true)).await.unwrap();
    fleet[2].retire().await;
    assert_eq!((observed(at).await.workers, observed(at).await.cpu), (1, Some(0.5)));
    assert!(at.work.ask_to_drain(fleet[0].id).await.unwrap());
    assert_eq!(observed(at).await.workers, 0);
}

pub async fn what_waits_is_measured_apart_from_what_is_due(at: &Fixture) {
    let customer = at.customer(Tier::Enterprise).await;
    customer.submit_many(3).await;
    let worker = at.worker().await;
    let claimed = worker.claim_one().await;
    worker.put_back(claimed.held, Duration::from_secs(600), true).await;
    let seen = observed(at).await;
    assert_eq!((seen.waiting, seen.due, seen.paused), (3, 2, false));
    assert!((0.0..60.0).contains(&seen.oldest_waiting_seconds), "{seen:?}");
    at.pause(true).await;
    assert!(observed(at).await.paused);
    at.pause(false).await;
    worker.claim(2).await;
    let seen = observed(at).await;
    assert_eq!((seen.waiting, seen.due, seen.oldest_waiting_seconds), (1, 0, 0.0));
}

pub async fn free_leases_are_what_usable_tokens_have_left(at: &Fixture) {
    let token = |fingerprint: u8, state, expires_in: Option<i64>| TokenRecord {
        id: TokenId::new(at.now(), rand::random()),
        label: None,
        sealed: SealedSecret { key_id: "k1".to_owned(), wrapped_key: vec![1; 48], ciphertext: vec![2; 90] },
        fingerprint: [fingerprint; 32],
        max_concurrency: 10,
        requests_per_minute: None,
        expires_at: expires_in.map(|seconds| at.now() + TimeDelta::seconds(seconds)),
        state,
        until: None,
        reason: None,
        created_at: at.now(),
    };
    let tokens = vec![
        token(1, TokenState::Usable, None),
        token(2, TokenState::Usable, Some(600)),
        token(3, TokenState::Usable, Some(-600)),
        token(4, TokenState::Disabled, None),
        TokenRecord { until: Some(at.now() + TimeDelta::seconds(600)), ..token(5, TokenState::Cooling, None) },
        TokenRecord { until: Some(at.now() - TimeDelta::seconds(600)), ..token(6, TokenState::Cooling, None) },
    ];
    let used = tokens[0].id;
    let Leadership::Leader(epoch) = at.tokens.lead(a_replica(at), "here", LONG_LEASE).await.unwrap() else {
        panic!("nobody leads")
    };
    assert!(at.tokens.import(epoch, tokens, 100).await.unwrap().is_some());
    let seen = observed(at).await;
    assert_eq!((seen.token_capacity, seen.token_free), (30, 30));
    let customer = at.customer(Tier::Enterprise).await;
    customer.submit_many(4).await;
    let worker = at.worker().await;
    let leases: Vec<_> = (0..4).map(|_| LeaseRef { token_id: used, ..at.a_lease() }).collect();
    assert_eq!(at.work.claim(worker.id, &leases).await.unwrap().len(), 4);
    let seen = observed(at).await;
    assert_eq!((seen.token_capacity, seen.token_free), (30, 26));
}
