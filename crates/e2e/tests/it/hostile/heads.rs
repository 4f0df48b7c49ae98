//! Heads: types, keys, headers with a meaning and headers that break HTTP itself.

use super::request::{MARK, Request, Who};

const PROMPT: &str = "{\"prompt\":\"p\"}";

pub(super) fn all() -> Vec<Request> {
    [types(), meanings(), keys(), unframed()].concat()
}

fn post() -> Request {
    Request::of(Who::Customer, "POST", "/v1/generations").body(PROMPT)
}

fn types() -> Vec<Request> {
    let types: [&[u8]; 24] = [
        b"",
        b"application/json",
        b"APPLICATION/JSON",
        b"application/json; charset=utf-8",
        b"application/json; charset=UTF-8",
        b"application/json;charset=\"utf-8\"",
        b"application/json; charset=latin1",
        b"application/json; charset=utf-16",
        b"application/json;",
        b"application/json; boundary=x",
        b"application/problem+json",
        b"application/vnd.api+json",
        b"application/jsonp",
        b"application",
        b"application/",
        b"/json",
        b"text/json",
        b"text/plain",
        b"multipart/form-data",
        b"application/x-www-form-urlencoded",
        b"*/*",
        b"application/json, text/plain",
        b"\xff\xfe",
        b"application/octet-stream",
    ];
    let mut requests: Vec<Request> = types.into_iter().map(|value| post().header("content-type", value)).collect();
    requests.push(post());
    requests.push(post().header("content-type", "application/json").header("content-type", "text/plain"));
    for encoding in ["gzip", "identity", "br", "deflate, gzip", "", "x"] {
        requests.push(Request::submission(PROMPT).header("content-encoding", encoding));
    }
    requests
}

/// Headers that the contract gives a meaning.
fn meanings() -> Vec<Request> {
    let long = "k".repeat(256);
    let values: [(&str, Vec<&str>); 12] = [
        (
            "idempotency-key",
            vec![
                "",
                "\"\"",
                "\"",
                "a b",
                "a\tb",
                "\u{e9}",
                &long,
                "\"unclosed",
                "ok-1",
                "\"ok-2\"",
                "ok-3, ok-4",
                "never-repeat-me \u{1f600}",
            ],
        ),
        (
            "cancel-after",
            vec![
                "",
                "0s",
                "4s",
                "5s",
                "86400s",
                "86401s",
                "24h",
                "25h",
                "-5m",
                "+5m",
                "5",
                "5 m",
                "5M",
                "1.5h",
                "1e3s",
                "999999s",
                "99999999999999999999s",
                "10m, 20m",
                "\u{666}m",
                "PT5M",
            ],
        ),
        (
            "prefer",
            vec![
                "",
                "wait=",
                "wait=-1",
                "wait=0",
                "wait=0.5",
                "wait=x",
                "wait=\"0\"",
                "respond-async",
                "wait =0",
                ";;,,=",
                "wait=0, wait=99",
                "never-repeat-me",
            ],
        ),
        ("if-none-match", vec!["", "*", "\"x\"", "W/\"x\", ,", "\u{1f600}"]),
        ("x-request-id", vec!["", "ok", "a\tb", "{}", "never-repeat-me\u{1f600}", &long]),
        (
            "traceparent",
            vec![
                "",
                "00-0-0-00",
                "00-00000000000000000000000000000000-0000000000000000-00",
                "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                "\u{1f600}",
                &long,
            ],
        ),
        ("tracestate", vec!["=", "a=b,a=b", &long]),
        ("accept", vec!["", "text/html", "application/xml;q=0", "\u{1f600}"]),
        ("x-forwarded-for", vec!["", "1.2.3.4", "::1, nonsense", "never-repeat-me"]),
        ("origin", vec!["null", "https://evil.example", "\u{1f600}"]),
        ("range", vec!["bytes=0-0", "bytes=-1", "x"]),
        ("expect", vec!["100-continue"]),
    ];
    let mut requests = Vec::new();
    for (name, list) in values {
        for value in list {
            requests.push(Request::submission(PROMPT).header(name, value));
        }
    }
    for name in ["idempotency-key", "cancel-after"] {
        requests.push(Request::submission(PROMPT).header(name, "10m").header(name, "10m"));
    }
    for id in ["", "0", "-1", "1", "4294967295", "4294967296", "99999999999999999999", "x", "1.5", " 1 ", "\u{661}"] {
        requests
            .push(Request::of(Who::Customer, "GET", "/v1/generations/{generation}/events").header("last-event-id", id));
    }
    for tag in ["*", "\"\"", "W/*", "nonsense", "\u{1f600}"] {
        requests.push(Request::of(Who::Customer, "GET", "/v1/generations/{generation}").header("if-none-match", tag));
    }
    requests
}

fn keys() -> Vec<Request> {
    let long = format!("Bearer {}", "k".repeat(7_000));
    let values = [
        "",
        "Bearer",
        "Bearer ",
        "bearer x",
        "Bearer  x",
        "Basic YTpi",
        "Digest x",
        "Bearer x y",
        "Bearer \u{e9}",
        "Bearer\tx",
        "Bearer son1k_live_00000000000000000000000000000000000000",
        "Bearer son1k_live_",
        "Bearer son1k_test_abc",
        "Bearer null",
        "Bearer {}",
        "Bearer ' or 1=1 --",
        "Bearer %00",
        &long,
        "never-repeat-me",
    ];
    let mut requests = Vec::new();
    for value in values {
        for target in ["/v1/account", "/admin/v1/queue", "/v1/nothing"] {
            requests.push(Request::of(Who::Nobody, "GET", target).header("authorization", value));
        }
    }
    for target in ["/v1/account", "/admin/v1/queue", "/admin/v1/nothing"] {
        requests.push(Request::of(Who::Nobody, "GET", target));
        requests.push(Request::of(Who::Customer, "GET", target).header("authorization", "Bearer x"));
    }
    requests.push(Request::of(Who::Customer, "GET", "/v1/account").header("cookie", MARK).header("x-api-key", MARK));
    requests
}

/// Requests that break HTTP, or stretch it.
fn unframed() -> Vec<Request> {
    let key = "authorization: Bearer {customer}\r\nconnection: close\r\n";
    let get = |line: &str, headers: &str| format!("{line}\r\nhost: {{authority}}\r\n{key}{headers}\r\n");
    let post = |headers: &str, body: &str| {
        format!(
            "POST /v1/generations HTTP/1.1\r\nhost: {{authority}}\r\n{key}content-type: application/json\r\n{headers}\r\n{body}"
        )
    };
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let line = "GET /v1/account HTTP/1.1";
    let requests: Vec<(&str, String)> = vec![
        ("a good one", get(line, "")),
        ("nonsense", "hello\r\n\r\n".into()),
        ("TLS", "\u{16}\u{3}\u{1}\r\n\r\n".into()),
        ("HTTP/0.9", "GET /v1/account\r\n\r\n".into()),
        ("HTTP/1.0", get("GET /v1/account HTTP/1.0", "")),
        ("HTTP/2.0", get("GET /v1/account HTTP/2.0", "")),
        ("HTTP/9.9", get("GET /v1/account HTTP/9.9", "")),
        ("no version", get("GET /v1/account", "")),
        ("lower case", get("get /v1/account HTTP/1.1", "")),
        ("a method of its own", get("FROBNICATE /v1/account HTTP/1.1", "")),
        ("a method of symbols", get("G{}T /v1/account HTTP/1.1", "")),
        ("an absolute target", get("GET http://evil.example/v1/account HTTP/1.1", "")),
        ("a target without a slash", get("GET v1/account HTTP/1.1", "")),
        ("a star", get("OPTIONS * HTTP/1.1", "")),
        ("a space in the target", get("GET /v1/ account HTTP/1.1", "")),
        ("a control character in the target", get("GET /v1/\u{1} HTTP/1.1", "")),
        ("letters beyond ASCII in the target", get("GET /v1/\u{e9} HTTP/1.1", "")),
        ("a long target", get(&format!("GET /v1/{} HTTP/1.1", "a".repeat(8_000)), "")),
        ("no host", format!("{line}\r\n{key}\r\n")),
        ("two hosts", get(line, "host: evil.example\r\n")),
        ("a header without a colon", get(line, "nonsense\r\n")),
        ("a header without a name", get(line, ": x\r\n")),
        ("a header name with a space", get(line, "x y: z\r\n")),
        ("a space before the colon", get(line, "x-y : z\r\n")),
        ("a folded header", get(line, "x-y: z\r\n folded\r\n")),
        ("a header with a zero", get(line, "x-y: a\0b\r\n")),
        ("a header with a bell", get(line, "x-y: a\u{7}b\r\n")),
        ("bare line ends", get(line, "").replace("\r\n", "\n")),
        ("200 headers", get(line, &many)),
        ("a large header", get(line, &format!("x-y: {}\r\n", "z".repeat(60_000)))),
        ("a length on a GET", get(line, "content-length: 0\r\n")),
        ("no length", post("", "")),
        ("a negative length", post("content-length: -1\r\n", PROMPT)),
        ("a length with a sign", post("content-length: +14\r\n", PROMPT)),
        ("a length in words", post("content-length: ten\r\n", PROMPT)),
        ("a length in hexadecimal", post("content-length: 0xE\r\n", PROMPT)),
        ("a length beyond numbers", post("content-length: 99999999999999999999999\r\n", PROMPT)),
        ("a length beyond reason", post("content-length: 9223372036854775807\r\n", PROMPT)),
        ("two lengths that agree", post("content-length: 14\r\ncontent-length: 14\r\n", PROMPT)),
        ("two lengths that do not", post("content-length: 14\r\ncontent-length: 15\r\n", PROMPT)),
        ("a short length", post("content-length: 5\r\n", PROMPT)),
        ("chunks", post("transfer-encoding: chunked\r\n", "e\r\n{\"prompt\":\"p\"}\r\n0\r\n\r\n")),
        (
            "a length and chunks",
            post("content-length: 14\r\ntransfer-encoding: chunked\r\n", "e\r\n{\"prompt\":\"p\"}\r\n0\r\n\r\n"),
        ),
        ("a chunk of no size", post("transfer-encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n")),
        ("a chunk beyond numbers", post("transfer-encoding: chunked\r\n", "fffffffffffffffffff\r\n{}\r\n0\r\n\r\n")),
        (
            "a chunk that is longer than it says",
            post("transfer-encoding: chunked\r\n", "2\r\n{\"prompt\":\"p\"}\r\n0\r\n\r\n"),
        ),
        ("an unknown coding", post("transfer-encoding: gzip\r\n", PROMPT)),
        ("chunked twice", post("transfer-encoding: chunked, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")),
        ("an upgrade", get(line, "upgrade: websocket\r\n")),
        (
            "a second request behind the first",
            get(line, "") + "GET /admin/v1/queue HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        ),
    ];
    requests.into_iter().map(|(name, bytes)| Request::whole(name, bytes)).collect()
}
