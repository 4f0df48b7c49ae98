//! The requests themselves, as bytes: everything that does not change is written once.

use super::bench::Bench;
use super::customers::Customer;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where requests come from, for as many connections as there are.
pub(super) trait Requests: Send + Sync {
    /// Writes the next whole request; `into` is empty.
    fn write(&self, into: &mut Vec<u8>);

    /// The next one to have succeeded said where its generation is.
    fn accepted(&self, _location: &str) {}
}

/// `POST /v1/generations`, for each customer in turn.
pub(super) struct Submissions {
    heads: Vec<Vec<u8>>,
    seconds: u32,
    keys: bool,
    count: AtomicU64,
    kept: Option<Mutex<Vec<String>>>,
}

impl Submissions {
    /// `keys`: each with an `Idempotency-Key` of its own, as a careful customer sends it.
    pub(super) fn new(bench: &Bench, customers: &[Customer], keys: bool) -> Self {
        let heads = customers.iter().map(|customer| head(bench, customer, "POST /v1/generations")).collect();
        Self { heads, seconds: 30, keys, count: AtomicU64::new(0), kept: None }
    }

    /// The paths of all generations are kept.
    pub(super) fn keeping(self) -> Self {
        Self { kept: Some(Mutex::default()), ..self }
    }

    pub(super) fn kept(&self) -> Vec<String> {
        let kept = self.kept.as_ref();
        kept.map(|kept| std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner))).unwrap_or_default()
    }
}

impl Requests for Submissions {
    fn write(&self, into: &mut Vec<u8>) {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let body = format!(
            "{{\"prompt\":\"load test, take {number}\",\"duration_seconds\":{},\"instrumental\":true}}",
            self.seconds
        );
        into.extend_from_slice(turn(&self.heads, number));
        // Writing to memory does not fail.
        let _ = write!(into, "content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        if self.keys {
            let _ = write!(into, "idempotency-key: {:032x}\r\n", rand::random::<u128>());
        }
        let _ = write!(into, "\r\n{body}");
    }

    fn accepted(&self, location: &str) {
        if let Some(kept) = &self.kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(location.to_owned());
        }
    }
}

/// `GET /v1/generations/{id}`, each in turn.
pub(super) struct Reads {
    whole: Vec<Vec<u8>>,
    count: AtomicU64,
}

impl Reads {
    /// `paths`: of generations, with the customer whose they are.
    pub(super) fn new<'a>(bench: &Bench, paths: impl Iterator<Item = (&'a Customer, String)>) -> Self {
        let whole = paths.map(|(customer, path)| {
            let mut request = head(bench, customer, &format!("GET {path}"));
            request.extend_from_slice(b"\r\n");
            request
        });
        Self { whole: whole.collect(), count: AtomicU64::new(0) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty()
    }
}

impl Requests for Reads {
    fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(turn(&self.whole, self.count.fetch_add(1, Ordering::Relaxed)));
    }
}

fn turn(of: &[Vec<u8>], number: u64) -> &[u8] {
    let index = usize::try_from(number).unwrap_or(0) % of.len().max(1);
    of.get(index).map_or(&[], Vec::as_slice)
}

/// Up to the headers that differ; without the empty line.
fn head(bench: &Bench, customer: &Customer, line: &str) -> Vec<u8> {
    use secrecy::ExposeSecret;
    let host = bench.addresses.first().map_or("", |address| address.host.as_str());
    let key = customer.key.expose_secret();
    format!("{line} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\nuser-agent: son1k-load\r\n").into_bytes()
}
