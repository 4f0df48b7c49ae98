//! Callers that mean harm or do not know better: calls too large, too many at once, without end, abandoned, or no calls at all. The
//! others are served all the while.

use crate::world::{Replica, SECRET, a_worker, any, import, leases, ledger, until};
use domain::ports::TokenAdmin;
use std::time::{Duration, Instant};
use token_pool_rpc::proto::token_pool_client::TokenPoolClient;
use token_pool_rpc::{Refusal, proto};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_types::StatusExt;

async fn channel(replica: &Replica) -> Channel {
    Channel::from_shared(replica.address.clone()).unwrap().connect().await.unwrap()
}

fn authorized<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {SECRET}").parse().unwrap());
    request
}

fn patient(seconds: i64) -> proto::AcquireRequest {
    let mut acquire = proto::AcquireRequest::new(&any(a_worker(), 1), rand::random());
    acquire.wait_up_to = Some(prost_types::Duration { seconds, nanos: 0 });
    acquire
}

#[tokio::test]
async fn a_call_that_is_too_large_is_refused_and_the_next_one_served() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let mut raw = TokenPoolClient::new(channel(&replica).await).max_encoding_message_size(64 * 1024 * 1024);
    let large = proto::NewToken {
        secret: "x".repeat(9 * 1024 * 1024),
        label: None,
        max_concurrency: None,
        requests_per_minute: None,
        expires_at: None,
    };
    let refused = raw.import(authorized(proto::ImportRequest { tokens: vec![large] })).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    assert!(!refused.message().contains("xxx"));
    let many = proto::RenewRequest { lease_ids: vec!["tlz_nonsense".into(); 20_000] };
    assert_eq!(raw.renew(authorized(many)).await.unwrap_err().code(), Code::InvalidArgument);
    let mut heavy = authorized(proto::StatsRequest {});
    heavy.metadata_mut().insert("x-heavy", "y".repeat(64 * 1024).parse().unwrap());
    assert!(raw.stats(heavy).await.is_err());
    assert!(raw.stats(authorized(proto::StatsRequest {})).await.is_ok());
    assert_eq!(replica.client.list().await.unwrap(), []);
    drop(raw);
    replica.stop().await;
}

#[tokio::test]
async fn a_crowd_that_waits_is_bounded_and_holds_up_nobody() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    // 500 on each of three connections, for whom there is nothing.
    let (crowd, mut connections) = (TaskTracker::new(), Vec::new());
    for _ in 0..3 {
        let channel = channel(&replica).await;
        connections.push(channel.clone());
        for _ in 0..500 {
            let mut raw = TokenPoolClient::new(channel.clone());
            crowd.spawn(async move { raw.acquire(authorized(patient(3_600))).await });
        }
    }
    let waiting = || replica.metric("son1k_token_pool_waiters", None) as u32;
    until(async || (waiting() == 1_024).then_some(())).await;
    // Who finds no place is told so at once, and calls that wait for nothing are answered.
    let mut raw = TokenPoolClient::new(channel(&replica).await);
    let turned_away = raw.acquire(authorized(patient(3_600))).await.unwrap_err();
    assert_eq!(Refusal::of(&turned_away), Some(Refusal::Dry { earliest: None }));
    assert_eq!(raw.stats(authorized(proto::StatsRequest {})).await.unwrap().into_inner().usable, 0);

    // What comes is served in turn, and who has gone away keeps none of it.
    import(&*replica.client, 1, 5).await;
    until(async || (waiting() == 1_019).then_some(())).await;
    assert_eq!(replica.client.stats().await.unwrap().leased, 5);
    drop(connections);
    let gone = Instant::now();
    crowd.close();
    drop((raw, crowd));
    replica.stop().await;
    assert!(gone.elapsed() < Duration::from_secs(15), "{:?}", gone.elapsed());
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_queue_and_its_lease_to_others() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |settings| settings.grant_hold = Duration::from_secs(60)).await;
    let waiting = || replica.metric("son1k_token_pool_waiters", None) as u32;
    let mut raw = TokenPoolClient::new(channel(&replica).await);
    {
        let asks = raw.acquire(authorized(patient(30)));
        tokio::pin!(asks);
        tokio::select! {
            answer = &mut asks => panic!("{answer:?}"),
            () = until(async || (waiting() == 1).then_some(())) => {}
        }
    }
    until(async || (waiting() == 0).then_some(())).await;
    import(&*replica.client, 1, 1).await;
    assert_eq!(leases(&*replica.client, any(a_worker(), 1)).await.len(), 1);
    drop(raw);
    replica.stop().await;
}

#[tokio::test]
async fn a_wait_without_a_deadline_ends_all_the_same() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let mut raw = TokenPoolClient::new(channel(&replica).await);
    let begun = Instant::now();
    let ended = raw.acquire(authorized(patient(i64::MAX))).await.unwrap_err();
    assert_eq!(Refusal::of(&ended), Some(Refusal::Dry { earliest: None }), "{ended}");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    drop(raw);
    replica.stop().await;
}

#[tokio::test]
async fn what_is_no_http_2_is_hung_up_on() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let address = replica.address.strip_prefix("http://").unwrap();
    for noise in
        [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 4_096], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense!"]
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may hang up before all is said.
        let _said = stream.write_all(noise).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "still open after {:?}", &noise[..8]);
    }
    assert!(replica.client.stats().await.is_ok());
    replica.stop().await;
}

#[tokio::test]
async fn refusals_say_which_field_and_which_rule_in_their_details() {
    let ledger = ledger().await;
    let replica = Replica::start(&ledger.at, |_| {}).await;
    let mut raw = TokenPoolClient::new(channel(&replica).await);
    let malformed = proto::AcquireRequest { owner: "me".into(), ..patient(0) };
    let refused = raw.acquire(authorized(malformed)).await.unwrap_err();
    let request = refused.get_details_bad_request().unwrap();
    assert_eq!(request.field_violations[0].field, "owner");
    let stranger = raw.stats(Request::new(proto::StatsRequest {})).await.unwrap_err();
    assert_eq!(stranger.get_details_error_info().unwrap().reason, "SECRET_MISSING_OR_WRONG");
    // A late release is told which of them changed nothing.
    let lost = proto::Release {
        lease_id: domain::ids::LeaseId::new(domain::Timestamp::UNIX_EPOCH, [1; 10]).to_string(),
        outcome: proto::Outcome::Ok.into(),
        retry_after: None,
    };
    let answer = raw.release(authorized(proto::ReleaseRequest { releases: vec![lost.clone()] })).await.unwrap();
    assert_eq!(answer.into_inner().refused, [lost.lease_id]);
    assert_eq!(replica.metric("son1k_token_releases_unknown_total", None) as u32, 1);
    drop(raw);
    replica.stop().await;
}

#[tokio::test]
async fn reflection_tells_the_protocol_where_it_is_offered_and_nowhere_else() {
    let ledger = ledger().await;
    for offered in [true, false] {
        let replica = Replica::start_reflecting(&ledger.at, offered).await;
        let ask = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new(channel(&replica).await);
        match client.server_reflection_info(futures::stream::iter([ask])).await {
            Ok(answer) => {
                let first = answer.into_inner().message().await.unwrap().unwrap();
                assert!(offered && format!("{first:?}").contains(token_pool_rpc::SERVICE_NAME), "{first:?}");
            }
            Err(status) => assert!(!offered && status.code() == Code::Unimplemented, "{status}"),
        }
        drop(client);
        replica.stop().await;
    }
}
