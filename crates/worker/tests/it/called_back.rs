//! Upstreams that call back: a render is looked at as soon as somebody says that it ended, and no more often than is good for it.
//!
//! Nothing here is polled by itself within the test: the first poll comes after ten minutes. The gateway's part is a listener of the test.

use crate::hooked::answers_when_told;
use crate::stage::{Stage, script, settings};
use domain::callback::{Callbacks, PATH};
use domain::event::Notice;
use domain::ids::GenerationId;
use domain::state::Stage as At;
use secrecy::SecretString;
use simulator::Script;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use worker::{CalledBackAt, Settings};

const NEVER: Duration = Duration::from_secs(600);

fn callbacks() -> Callbacks {
    Callbacks::new(&SecretString::from("an internal secret of the tests")).unwrap()
}

fn called_back_at(listener: &TcpListener) -> Settings {
    let public_url = format!("http://{}/", listener.local_addr().unwrap());
    let at = CalledBackAt { public_url, callbacks: callbacks() };
    Settings { poll_first: NEVER, poll_longest: NEVER, called_back_at: Some(at), ..settings() }
}

/// Answers one callback, and says whose it is by its token.
async fn receive(listener: &TcpListener, stage: &Stage) -> GenerationId {
    let (mut stream, _) = listener.accept().await.unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4_096]);
    while !text.ends_with('}') {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the request ended early: {text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    let path = text.strip_prefix("POST ").unwrap().split(' ').next().unwrap();
    let token = path.strip_prefix(PATH).unwrap();
    callbacks().verify(token, stage.backends.clock.now()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_render_ends_when_it_is_called_back_and_not_at_its_next_poll() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = Stage::new(script(0.5), 5).await;
    let worker = stage.worker(called_back_at(&listener));
    let ids = stage.submit(10).await;
    stage.until(&ids, Duration::from_secs(20), |g| g.stage == Some(At::Rendering)).await;
    for _ in &ids {
        let id = timeout(Duration::from_secs(20), receive(&listener, &stage)).await.unwrap();
        stage.backends.doorbell.notify_workers(&[Notice::CalledBack(id)]).await.unwrap();
        stage.succeeded(&[id], Duration::from_secs(20)).await;
    }
    stage.assert_all_is_over().await;
    timeout(Duration::from_secs(20), stage.tokens.all_given_back()).await.unwrap();
    // What has ended is nobody's: it is not asked about again.
    let calls = stage.calls("status").await.len();
    let notices: Vec<_> = ids.iter().map(|id| Notice::CalledBack(*id)).collect();
    stage.backends.doorbell.notify_workers(&notices).await.unwrap();
    worker.shows("son1k_rings_total", Some("not_ours"), |late| late >= ids.len() as f64).await;
    assert_eq!(stage.calls("status").await.len(), calls);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_that_is_faster_than_the_submission_s_answer_is_not_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stage = Stage::new(script(0.1), 1).await;
    let heard = answers_when_told(&mut stage);
    let worker = stage.worker(called_back_at(&listener));
    let ids = stage.submit(1).await;
    let id = timeout(Duration::from_secs(20), receive(&listener, &stage)).await.unwrap();
    stage.backends.doorbell.notify_workers(&[Notice::CalledBack(id)]).await.unwrap();
    worker.shows("son1k_rings_total", Some("ours"), |heard| heard >= 1.0).await;
    heard.notify_one();
    stage.succeeded(&ids, Duration::from_secs(20)).await;
    worker.stop().await;
}

async fn is_looked_at_twice_a_second_at_most(latency_ms: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stage = Stage::new(Script { latency_ms, ..script(60.0) }, 1).await;
    let worker = stage.worker(called_back_at(&listener));
    let ids = stage.submit(1).await;
    stage.until(&ids, Duration::from_secs(20), |g| g.stage == Some(At::Rendering)).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        stage.backends.doorbell.notify_workers(&[Notice::CalledBack(ids[0])]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let end = Instant::now() + Duration::from_secs(10);
    while stage.calls("status").await.is_empty() {
        assert!(Instant::now() < end, "it was never looked at");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let looks = stage.calls("status").await.len() as f64;
    // One at once, perhaps one for what was heard meanwhile, and one for each half second since.
    assert!(looks <= 2.0 + begun.elapsed().as_secs_f64() * 2.0, "{looks} looks in {:?}", begun.elapsed());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_that_is_repeated_without_end_is_looked_at_twice_a_second_at_most() {
    is_looked_at_twice_a_second_at_most(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_is_where_each_look_takes_its_time() {
    is_looked_at_twice_a_second_at_most(60).await;
}
