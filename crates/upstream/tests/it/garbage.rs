//! An upstream that hangs, drips, floods, lies and redirects: each call ends in time, with an error that repeats nothing.

use crate::raw::{Script, answer, job, ok, raw, secret, within};
use domain::ports::upstream::{Progress, UpstreamError};
use std::time::{Duration, Instant};
use upstream::{Dialect, Settings, SettingsError};

const BRIEF: Duration = Duration::from_millis(600);
const LONG: Duration = Duration::from_secs(20);

async fn submitted(most: Duration, script: Script) -> (UpstreamError, Duration) {
    let up = within(most, Dialect::Suno, vec![script]).await;
    let begun = Instant::now();
    let error = up.upstream.submit(&secret(), &job()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    (error, begun.elapsed())
}

#[tokio::test]
async fn silence_and_drips_end_at_the_deadline() {
    let never_ending = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for script in [
        Script::Stall(String::new()),
        Script::Stall("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{".into()),
        Script::Drip(never_ending.clone(), Duration::from_millis(3)),
        Script::Drip("HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n".into(), Duration::from_millis(1)),
    ] {
        let (error, took) = submitted(BRIEF, script).await;
        // A filler byte where a chunk size belongs may also be taken for what it is: a broken answer.
        assert!(matches!(error, UpstreamError::TimedOut(_) | UpstreamError::Unclear(_)), "{error:?}");
        assert!(took < LONG / 2, "{took:?}");
    }
}

#[tokio::test]
async fn floods_are_cut_off() {
    let endless = "HTTP/1.1 200 OK\r\n\r\n{\"id\":\"";
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 2147483648\r\n\r\n";
    let header = "HTTP/1.1 200 OK\r\nx-long: ";
    for script in [endless, announced, header] {
        let (error, took) = submitted(LONG, Script::Flood(script.into())).await;
        assert!(matches!(error, UpstreamError::Unclear(_)), "{script} {error:?}");
        assert!(took < LONG / 2, "{took:?}");
    }
}

#[tokio::test]
async fn garbage_is_an_error_and_no_panic() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{\"id\":\"u1\"}";
    for script in [
        Script::Reset,
        Script::Say("garbage\r\n\r\n".into()),
        Script::Say(short.into()),
        ok("not json"),
        ok(""),
        ok("null"),
        ok(r#"{"id":""}"#),
        ok(r#"{"id":".."}"#),
        ok(r#"{"id":{"a":1}}"#),
        answer("200 OK", "content-encoding: gzip\r\n", "\u{1f}\u{8b}"),
        answer("502 Bad Gateway", "", "<html>"),
    ] {
        let (error, _) = submitted(LONG, script).await;
        assert!(matches!(error, UpstreamError::Unclear(_)) && error.leaves_doubt(), "{error:?}");
    }
    let (error, _) = submitted(LONG, answer("599 Strange", "", "\u{0}")).await;
    assert!(matches!(error, UpstreamError::Unavailable(_)) && !error.leaves_doubt(), "{error:?}");
}

/// Row G6: however much is sent, little of it is ever in memory. A gzip bomb is a flood like others: nothing is unpacked.
#[tokio::test]
async fn floods_leave_the_memory_flat() {
    let heads = [
        "HTTP/1.1 200 OK\r\n\r\n{\"id\":\"",
        "HTTP/1.1 200 OK\r\ncontent-length: 2147483648\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\u{1f}",
        "HTTP/1.1 500 Oops\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-long: ",
    ];
    let scripts = heads.iter().cycle().take(50).map(|head| Script::Flood((*head).into())).collect();
    let up = raw(Dialect::Suno, scripts).await;
    let before = resident();
    for _ in 0..50 {
        up.upstream.submit(&secret(), &job()).await.unwrap_err();
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 50 * 1024 * 1024, "{grown} bytes more");
}

/// Bytes of this process that are in memory: the test has a process of its own.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

/// Row G7.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let elsewhere = format!("http://{}/up/elsewhere", canary.local_addr().unwrap());
    for status in ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"] {
        for to in [elsewhere.as_str(), "/up/elsewhere", "file:///etc/passwd"] {
            let redirect = || answer(status, &format!("location: {to}\r\n"), "");
            let up = raw(Dialect::Suno, vec![redirect(), redirect(), ok(r#"{"id":"u1"}"#)]).await;
            let error = up.upstream.submit(&secret(), &job()).await.unwrap_err();
            assert!(matches!(error, UpstreamError::Unavailable(_)), "{error:?}");
            assert!(up.upstream.poll(&secret(), "u1").await.is_err());
            assert_eq!(up.seen.count(), 2);
        }
    }
    let reached = canary.accept().map(|_| ()).unwrap_err();
    assert_eq!(reached.kind(), std::io::ErrorKind::WouldBlock, "nobody came to the canary");
}

#[tokio::test]
async fn a_late_answer_is_never_taken_for_the_next_one() {
    // The first poll stalls midway; whatever that connection says later belongs to nobody.
    let stalled = Script::Stall("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".into());
    let up = within(Duration::from_secs(2), Dialect::Suno, vec![stalled, ok(r#"{"status":"failed"}"#)]).await;
    assert!(matches!(up.upstream.poll(&secret(), "a").await, Err(UpstreamError::TimedOut(_))));
    assert!(matches!(up.upstream.poll(&secret(), "b").await, Ok(Progress::Failed { .. })));
    assert_ne!(up.seen.request(0).0, up.seen.request(1).0, "an aborted connection is not used again");
}

#[tokio::test]
async fn nobody_at_the_address() {
    // Bound and not listening: refused, and nobody else's.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = held.local_addr().unwrap();
    let up = upstream::connect(Settings::new(Dialect::Suno, format!("http://{free}"))).unwrap();
    assert!(matches!(up.check(&secret()).await, Err(UpstreamError::Unavailable(_))));
}

#[tokio::test]
async fn settings_are_refused_without_repeating_them() {
    let connect = |url: &str| upstream::connect(Settings::new(Dialect::Suno, url)).err();
    for url in ["", "localhost", "ftp://x", "http://", "/generate"] {
        assert_eq!(connect(url), Some(SettingsError::NotHttp), "{url}");
    }
    for url in ["http://user:pass@x", "http://x/?key=1", "http://x/#a"] {
        assert_eq!(connect(url), Some(SettingsError::Extras), "{url}");
    }
    assert_eq!(connect("https://api.example.org/suno"), None);
    let zero = Settings { connect: Duration::ZERO, ..Settings::new(Dialect::Suno, "http://x") };
    assert_eq!(upstream::connect(zero).err(), Some(SettingsError::Zero));
}
