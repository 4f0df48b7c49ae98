//! Paths, identifiers, queries and methods that lead nowhere, or should not.

use super::request::{Request, Who};

pub(super) fn all() -> Vec<Request> {
    [identifiers(), queries(), methods()].concat()
}

fn identifiers() -> Vec<Request> {
    let long = "a".repeat(4_000);
    let ids = [
        "x",
        "gen_",
        "gen_x",
        "gen_00000000000000000000000000",
        "gen_7zzzzzzzzzzzzzzzzzzzzzzzzz",
        "gen_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "gen_01h455vb4pex5vsknk084sn02q",
        "GEN_01H455VB4PEX5VSKNK084SN02Q",
        "gen_01h455vb4pex5vsknk084sn02Q",
        "gen_01h455vb4pex5vsknk084sn02q ",
        "gen_01h455vb4pex5vsknk084sn02q%20",
        "gen_01h455vb4pex5vsknk084sn02q%00",
        "gen_01h455vb4pex5vsknk084sn0il",
        "acc_01h455vb4pex5vsknk084sn02q",
        "01h455vb4pex5vsknk084sn02q",
        "%00",
        "%ff",
        "%2e%2e",
        "..",
        ".",
        "%2F",
        "%252e",
        "%zz",
        "%",
        "{account}",
        "'%20or%201=1--",
        "%F0%9F%98%80",
        "gen_%30%31h455vb4pex5vsknk084sn02q",
        "{generation}",
        "{generation}/",
        "{generation}%2Fcancel",
        &long,
    ];
    let mut requests = Vec::new();
    for id in ids.map(|id| id.replace(' ', "+")) {
        for rest in ["", "/events", "/explain"] {
            requests.push(Request::of(Who::Customer, "GET", &format!("/v1/generations/{id}{rest}")));
        }
        requests.push(Request::of(Who::Customer, "POST", &format!("/v1/generations/{id}/cancel")));
        requests.push(Request::of(Who::Operator, "GET", &format!("/admin/v1/generations/{id}")));
        requests.push(Request::of(Who::Operator, "GET", &format!("/admin/v1/accounts/{id}")));
        requests.push(Request::of(Who::Operator, "DELETE", &format!("/admin/v1/tokens/{id}")));
    }
    requests
}

fn queries() -> Vec<Request> {
    let shared = [
        "limit=",
        "limit=0",
        "limit=1",
        "limit=100",
        "limit=101",
        "limit=-1",
        "limit=%2B1",
        "limit=1.0",
        "limit=1e1",
        "limit=65536",
        "limit=99999999999999999999",
        "limit=%D9%A1",
        "limit=1&limit=2",
        "limit",
        "limit=%00",
        "cursor=",
        "cursor=x",
        "cursor=%00",
        "cursor=%FF",
        "cursor=AAAAAAAAAAAAAAAAAAAAAA",
        "cursor=_____________________w",
        "cursor=AAAAAAAAAAAAAAAAAAAAAB",
        "cursor=AAAAAAAAAAAAAAAAAAAAAA==",
        "cursor=AAAAAAAAAAAAAAAAAAAAAA&cursor=AAAAAAAAAAAAAAAAAAAAAA",
        "cursor=%27%20or%201=1--",
        "unknown=1",
        "=",
        "&&&",
        "%",
        "%zz=1",
        "a[]=1",
        "limit=1;cursor=x",
        "LIMIT=0",
        "?limit=0",
    ];
    let times = [
        "",
        "x",
        "0",
        "2026",
        "2026-11-24",
        "2026-11-24T10:00:00",
        "2026-11-24T10:00:00Z",
        "2026-11-24t10:00:00z",
        "2026-11-24T10:00:00%2B00:00",
        "2026-11-24T10:00:00+00:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "9999-12-31T23:59:60Z",
        "10000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "%2B262142-12-31T23:59:59Z",
        "2026-02-30T00:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T10:00:00.%00Z",
        "2026-11-24T10:00:00-23:59",
        "9999-12-31T23:59:59-23:59",
        "0000-01-01T00:00:00%2B23:59",
    ];
    let mut requests = Vec::new();
    for query in shared {
        requests.push(Request::of(Who::Customer, "GET", &format!("/v1/generations?{query}")));
        requests.push(Request::of(Who::Customer, "GET", &format!("/v1/account/ledger?{query}")));
        for path in ["accounts", "generations", "tokens", "audit"] {
            requests.push(Request::of(Who::Operator, "GET", &format!("/admin/v1/{path}?{query}")));
        }
    }
    for at in times {
        for name in ["created_after", "created_before"] {
            requests.push(Request::of(Who::Customer, "GET", &format!("/v1/generations?{name}={at}")));
            requests.push(Request::of(Who::Operator, "GET", &format!("/admin/v1/generations?{name}={at}")));
        }
    }
    let words = ["", "queued", "QUEUED", "open", "succeeded", "x", "%00", "queued,failed", "null", "%F0%9F%98%80"];
    for word in words {
        requests.push(Request::of(Who::Customer, "GET", &format!("/v1/generations?status={word}")));
        for name in ["status", "stage", "tier", "error_code", "account"] {
            requests.push(Request::of(Who::Operator, "GET", &format!("/admin/v1/generations?{name}={word}")));
        }
    }
    let long = "q".repeat(201);
    for text in ["", "%25", "_", "%5C", "%27", "%00", "%FF", "%F0%9F%98%80", "A%CC%8A", "%C3%9F", "%C4%B0", &long] {
        requests.push(Request::of(Who::Operator, "GET", &format!("/admin/v1/accounts?q={text}")));
    }
    requests
}

fn methods() -> Vec<Request> {
    let paths = [
        "/",
        "//",
        "/v1",
        "/v1/",
        "/v1//generations",
        "/v1/generations/",
        "/V1/generations",
        "/v1/./generations",
        "/v1/x/../generations",
        "/%761/generations",
        "/v1/generations%2F",
        "/v1/generations",
        "/v1/generations/{generation}",
        "/v1/generations/{generation}/cancel",
        "/v1/generations/{generation}/events",
        "/v1/account",
        "/v1/account/ledger",
        "/v1/webhooks",
        "/admin",
        "/admin/v1",
        "/admin/v1/accounts",
        "/admin/v1/queue",
        "/admin/v1/queue/dead",
        "/internal/upstream/x",
        "/.env",
        "/healthz",
    ];
    let mut requests = Vec::new();
    for path in paths {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT"] {
            requests.push(Request::of(Who::Customer, method, path));
        }
    }
    requests
}
