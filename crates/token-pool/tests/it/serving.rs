//! The edge: the shared secret, health, reflection, malformed calls, repeats and outages.

use crate::world::{Replica, SECRET, a_worker, any, import, ledger};
use domain::ports::TokenAdmin;
use domain::ports::pool::PoolError;
use secrecy::SecretString;
use std::time::{Duration, Instant};
use token_pool_rpc::proto::token_pool_client::TokenPoolClient;
use token_pool_rpc::{ConnectError, Refusal, RemotePool, SERVICE_NAME, proto};
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

async fn channel(replica: &Replica) -> Channel {
    Channel::from_shared(replica.address.clone()).unwrap().connect().await.unwrap()
}

fn authorized<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {SECRET}").parse().unwrap());
    request
}

#[tokio::test]
async fn without_the_secret_only_health_answers() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let mut raw = TokenPoolClient::new(channel(&replica).await);
    assert_eq!(raw.stats(proto::StatsRequest {}).await.unwrap_err().code(), Code::Unauthenticated);
    let mut wrong = Request::new(proto::StatsRequest {});
    wrong.metadata_mut().insert("authorization", "Bearer a shared secret of 32 characterz".parse().unwrap());
    assert_eq!(raw.stats(wrong).await.unwrap_err().code(), Code::Unauthenticated);
    assert!(raw.stats(authorized(proto::StatsRequest {})).await.is_ok());

    let stranger = RemotePool::connect(&replica.address, SecretString::from("another"), None).unwrap();
    assert!(matches!(stranger.list().await, Err(PoolError::Denied(_))));
    assert!(stranger.probe(true).check().await.is_err());
    let probe = replica.client.probe(false);
    assert_eq!((probe.name(), probe.vital(), probe.check().await), ("token_pool", false, Ok(())));

    let mut health = HealthClient::new(channel(&replica).await);
    for service in ["", SERVICE_NAME] {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
    drop((raw, health));
    replica.stop().await;
}

#[tokio::test]
async fn a_follower_is_healthy_but_does_not_serve_and_says_who_does() {
    let ledger = ledger().await;
    let leader = Replica::start(&ledger.at, |_| {}).await;
    let follower = Replica::start(&ledger.at, |_| {}).await;
    let mut health = HealthClient::new(channel(&follower).await);
    let mut status = async |service: &str| {
        health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner().status()
    };
    assert_eq!(status("").await, ServingStatus::Serving);
    assert_eq!(status(SERVICE_NAME).await, ServingStatus::NotServing);
    let mut raw = TokenPoolClient::new(channel(&follower).await);
    let refused = raw.stats(authorized(proto::StatsRequest {})).await.unwrap_err();
    assert_eq!(Refusal::of(&refused), Some(Refusal::NotLeader { leader: leader.address.clone() }));
    drop((raw, health));
    follower.stop().await;
    leader.stop().await;
}

#[tokio::test]
async fn malformed_calls_are_refused_without_repeating_them() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let mut raw = TokenPoolClient::new(channel(&replica).await);
    let acquire = proto::AcquireRequest::new(&any(a_worker(), 1), [0; 16]);
    for request in [
        proto::AcquireRequest { owner: "sk-somebody-s-secret".into(), ..acquire.clone() },
        proto::AcquireRequest { wanted: None, ..acquire.clone() },
        proto::AcquireRequest { wanted: Some(proto::acquire_request::Wanted::Count(0)), ..acquire.clone() },
        proto::AcquireRequest { request_id: vec![1], ..acquire.clone() },
    ] {
        let refused = raw.acquire(authorized(request)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(!refused.message().contains("sk-"), "{refused}");
    }
    let disable = proto::DisableRequest { token_id: "nonsense".into() };
    assert_eq!(raw.disable(authorized(disable)).await.unwrap_err().code(), Code::InvalidArgument);
    let dry = raw.acquire(authorized(acquire)).await.unwrap_err();
    assert_eq!((dry.code(), Refusal::of(&dry)), (Code::ResourceExhausted, Some(Refusal::Dry { earliest: None })));
    drop(raw);
    replica.stop().await;
}

#[tokio::test]
async fn a_repeat_of_a_lost_answer_brings_the_same_leases() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    import(&*replica.client, 1, 5).await;
    let mut raw = TokenPoolClient::new(channel(&replica).await);
    let acquire = proto::AcquireRequest::new(&any(a_worker(), 2), [7; 16]);
    let first = raw.acquire(authorized(acquire.clone())).await.unwrap().into_inner();
    let again = raw.acquire(authorized(acquire)).await.unwrap().into_inner();
    assert_eq!(first, again);
    assert_eq!(replica.client.stats().await.unwrap().leased, 2);
    drop(raw);
    replica.stop().await;
}

#[tokio::test]
async fn a_pool_that_is_away_is_unavailable_within_the_deadline() {
    for url in ["", "127.0.0.1:50051", "ftp://127.0.0.1:1", "https://127.0.0.1:1", "http://"] {
        let refused = RemotePool::connect(url, SecretString::from(SECRET), None).err();
        assert!(matches!(refused, Some(ConnectError::Url)), "{url}");
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    let hanging = RemotePool::connect(&nobody, SecretString::from(SECRET), None).unwrap();
    let begun = Instant::now();
    assert!(matches!(hanging.stats().await, Err(PoolError::Unavailable(_))), "accepted, never answered");
    drop(listener);
    assert!(matches!(hanging.stats().await, Err(PoolError::Unavailable(_))), "refused");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
