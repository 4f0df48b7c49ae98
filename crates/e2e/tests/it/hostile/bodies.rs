//! Bodies: not JSON, hardly JSON, JSON of the wrong kind, and JSON at the edge of each bound.

use super::request::{MARK, Request, Who};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Another number gives other accidents; this one gives the same ones to everybody.
const SEED: u64 = 0x50a1_5eed;
const ACCIDENTS: usize = 200;
const LARGEST: usize = 64 * 1024;

pub(super) fn all() -> Vec<Request> {
    let mut requests: Vec<Request> = not_json().into_iter().map(Request::submission).collect();
    requests.extend(nested());
    requests.extend(kinds());
    requests.extend(bounds());
    requests.extend(accidents());
    requests.extend(operators());
    requests
}

fn not_json() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 52] = [
        b"",
        b" ",
        b"\n",
        b"\0",
        b"{",
        b"}",
        b"{}",
        b"[]",
        b"null",
        b"true",
        b"0",
        b"\"\"",
        b"{}{}",
        b"{} x",
        b"{\"prompt\"}",
        b"{\"prompt\":}",
        b"{\"prompt\":\"p\",}",
        b"{,\"prompt\":\"p\"}",
        b"{prompt:\"p\"}",
        b"{'prompt':'p'}",
        b"{\"prompt\":\"p\"",
        b"{\"prompt\":\"p}",
        b"{\"prompt\":\"\\\"}",
        b"{\"prompt\":\"\\x41\"}",
        b"{\"prompt\":\"\\u12\"}",
        b"{\"prompt\":\"\\ud800\"}",
        b"{\"prompt\":\"\\udfff\"}",
        b"{\"prompt\":\"\\ud800\\ud800\"}",
        b"{\"prompt\":\"\\udc00\\ud800\"}",
        b"{\"\\ud800\":\"p\"}",
        b"{\"prompt\":\"a\nb\"}",
        b"{\"prompt\":\"a\tb\"}",
        b"{\"prompt\":\"a\0b\"}",
        b"{\"prompt\":\"\xff\"}",
        b"{\"prompt\":\"\xc0\x80\"}",
        b"{\"prompt\":\"\xed\xa0\x80\"}",
        b"{\"prompt\":\"\xf4\x90\x80\x80\"}",
        b"{\"prompt\":\"\xe2\x82\"}",
        b"\xef\xbb\xbf{\"prompt\":\"p\"}",
        b"\xff\xfe{\0}\0",
        b"{\"prompt\":\"a\",\"prompt\":\"b\"}",
        b"{\"prompt\":\"a\",\"pr\\u006fmpt\":\"b\"}",
        b"{\"prompt\":\"p\",\"metadata\":{\"a\":\"1\",\"a\":\"2\"}}",
        b"{\"prompt\":\"p\",\"x\":1,\"x\":2}",
        b"{\"prompt\":\"p\",\"duration_seconds\":01}",
        b"{\"prompt\":\"p\",\"duration_seconds\":+1}",
        b"{\"prompt\":\"p\",\"duration_seconds\":1.}",
        b"{\"prompt\":\"p\",\"duration_seconds\":.5}",
        b"{\"prompt\":\"p\",\"duration_seconds\":NaN}",
        b"{\"prompt\":\"p\",\"duration_seconds\":Infinity}",
        b"/* c */{\"prompt\":\"p\"}",
        b"prompt=p&title=t",
    ];
    texts.into_iter().map(<[u8]>::to_vec).collect()
}

fn nested() -> Vec<Request> {
    let mut requests = Vec::new();
    for levels in [1, 30, 31, 32, 33, 100, 5_000, 30_000] {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        requests.push(Request::submission(format!("{open}{close}")).named(format!("{levels} arrays")));
        requests.push(
            Request::submission(format!("{{\"prompt\":\"p\",\"metadata\":{{\"a\":{open}{close}}}}}"))
                .named(format!("{levels} arrays in metadata")),
        );
        if levels <= 5_000 {
            let objects = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
            requests.push(Request::submission(objects).named(format!("{levels} objects")));
        }
        requests.push(Request::submission(open).named(format!("{levels} arrays without an end")));
    }
    requests
}

/// Values that are of some wrong kind for any field.
const VALUES: [&str; 24] = [
    "null",
    "true",
    "0",
    "-0",
    "-0.0",
    "1",
    "-1",
    "1.5",
    "60.0",
    "6e1",
    "1e308",
    "1e309",
    "-1e400",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890",
    "\"\"",
    "\" \\t\\u00a0 \"",
    "\"a\\u0000b\"",
    "\"never-repeat-me\"",
    "[]",
    "{}",
    "[{\"x\":\"never-repeat-me\"}]",
];

fn kinds() -> Vec<Request> {
    let fields = [
        "prompt",
        "title",
        "style",
        "lyrics",
        "instrumental",
        "duration_seconds",
        "quality",
        "metadata",
        "webhook",
        "Prompt",
        "id",
        "__proto__",
        "",
    ];
    let mut requests = Vec::new();
    for field in fields {
        for value in VALUES {
            let body = match field {
                "prompt" => format!("{{\"prompt\":{value}}}"),
                other => format!("{{\"prompt\":\"p\",\"{other}\":{value}}}"),
            };
            requests.push(Request::submission(body));
        }
    }
    let names = ["", "a", "a/b", "a~b", "~1", "a\\u0000b", "\\u202e", "\\ud83d\\ude00", "never", "\\\"", "\\\\"];
    for name in names {
        for value in ["\"v\"", "1", "null", "\"\\u0000\"", "{}"] {
            requests.push(Request::submission(format!("{{\"prompt\":\"p\",\"metadata\":{{\"{name}\":{value}}}}}")));
        }
    }
    requests
}

fn bounds() -> Vec<Request> {
    let mut requests = Vec::new();
    let mut submit = |name: String, body: Value| requests.push(Request::submission(body.to_string()).named(name));
    for (field, longest) in [("prompt", 3_000), ("title", 200), ("style", 1_000), ("lyrics", 10_000)] {
        for letter in ["x", "\u{e9}", "\u{20ac}", "\u{1f600}", "\u{301}", "\u{202e}"] {
            for length in [longest, longest + 1] {
                let mut body = json!({"prompt": "p"});
                body[field] = letter.repeat(length).into();
                submit(format!("{field} of {length} × {letter:?}"), body);
            }
        }
    }
    for count in [16, 17, 1_000] {
        let metadata: serde_json::Map<String, Value> = (0..count).map(|n| (format!("k{n}"), json!("v"))).collect();
        submit(format!("{count} metadata"), json!({"prompt": "p", "metadata": metadata}));
    }
    for bytes in [4_095, 4_096, 4_097] {
        submit(format!("metadata of {bytes} bytes"), json!({"prompt": "p", "metadata": {"k": "v".repeat(bytes - 1)}}));
        submit(
            format!("a metadata name of {bytes} bytes"),
            json!({"prompt": "p", "metadata": {"k".repeat(bytes - 1): "v"}}),
        );
    }
    for seconds in [1, 600, 601, i64::MAX, i64::MIN] {
        submit(format!("{seconds} s"), json!({"prompt": "p", "duration_seconds": seconds}));
    }
    let many: serde_json::Map<String, Value> = (0..3_000).map(|n| (format!("unknown{n}"), json!(MARK))).collect();
    submit("3,000 unknown fields".into(), Value::Object(many));
    submit("a very long unknown field".into(), json!({"prompt": "p", "u".repeat(50_000): MARK}));
    // White space is part of the size and of nothing else.
    for size in [LARGEST - 1, LARGEST, LARGEST + 1, LARGEST * 2] {
        let body = format!("{{\"prompt\":\"p\"{}}}", " ".repeat(size - 14));
        assert_eq!(body.len(), size);
        requests.push(Request::submission(body).named(format!("a body of {size} bytes")));
    }
    requests
}

/// A good body in which something went wrong on the way.
fn accidents() -> Vec<Request> {
    let good = json!({
        "prompt": "rain on the window", "title": "Night \u{1f319}", "style": "lofi", "lyrics": null, "instrumental": true,
        "duration_seconds": 60, "quality": "standard", "metadata": {"order": "A-17", "a/b": "~"},
    });
    let good = good.to_string().into_bytes();
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut accident = |number: usize| {
        let mut body = good.clone();
        for _ in 0..=number % 3 {
            let at = rng.random_range(0..body.len());
            let upto = (at + rng.random_range(1..12)).min(body.len());
            match rng.random_range(0..6) {
                0 => body[at] = rng.random(),
                1 => body.insert(at, b"{}[]\",:\\0e-.\xff\0"[rng.random_range(0..14)]),
                2 => drop(body.drain(at..upto)),
                3 => {
                    let again = body[at..upto].to_vec();
                    body.splice(at..at, again);
                }
                4 => body.truncate(at.max(1)),
                _ => body[at] ^= 1 << rng.random_range(0..8),
            }
        }
        Request::submission(body).named(format!("accident {number} of seed {SEED:#x}"))
    };
    (0..ACCIDENTS).map(&mut accident).collect()
}

/// The operators' bodies, for the places where a store would see a number or a text that it cannot hold.
fn operators() -> Vec<Request> {
    let mut requests = Vec::new();
    let mut send =
        |method: &str, target: &str, body: String| requests.push(Request::of(Who::Operator, method, target).json(body));
    let account = "/admin/v1/accounts/{account}";
    for value in VALUES {
        for field in ["name", "email", "tier", "status", "overrides"] {
            send("PATCH", account, format!("{{\"{field}\":{value}}}"));
        }
        send("POST", "/admin/v1/accounts", format!("{{\"name\":{value},\"tier\":\"free\"}}"));
        send("POST", "/admin/v1/accounts", format!("{{\"name\":\"n\",\"tier\":{value}}}"));
        send("POST", &format!("{account}/credits"), format!("{{\"amount\":{value},\"reason\":\"r\"}}"));
        send("POST", &format!("{account}/credits"), format!("{{\"amount\":1,\"reason\":{value}}}"));
        send("POST", &format!("{account}/keys"), format!("{{\"name\":\"k\",\"expires_at\":{value}}}"));
        send("POST", "/admin/v1/tokens", format!("{{\"tokens\":{value}}}"));
        send("POST", "/admin/v1/tokens", format!("{{\"tokens\":[{{\"secret\":{value}, \"max_concurrency\":0}}]}}"));
    }
    for field in
        ["requests_per_minute", "generations_per_month", "credits_per_month", "share", "backlog_max", "unknown"]
    {
        for value in ["-1", "4294967296", "1000000001", "1e30", "\"1\"", "0.5"] {
            send(
                "POST",
                "/admin/v1/accounts",
                format!("{{\"name\":\"n\",\"tier\":\"free\",\"overrides\":{{\"{field}\":{value}}}}}"),
            );
        }
    }
    for at in [
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:60Z",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2020-01-01",
        "2999-02-30T00:00:00Z",
        "2999-01-01T00:00:00+99:99",
    ] {
        send("POST", &format!("{account}/keys"), format!("{{\"name\":\"k\",\"expires_at\":\"{at}\"}}"));
    }
    requests
}
