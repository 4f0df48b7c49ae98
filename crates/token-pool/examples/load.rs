//! What the pool carries: 2,000 tokens, pairs of acquire and release offered open-loop over gRPC on loopback, one lease and fifty a call.
//!
//! ```text
//! cargo run --release --locked -p token-pool --example load -- [pairs a second] [seconds]
//! ```
//!
//! The pool runs in a process of its own, on the embedded ledger in a folder that goes with it, so that its memory is told apart from the
//! load's. A call's latency counts from the moment it was due: a stall counts for each call behind it. Nothing is asserted here.

#![expect(clippy::print_stdout, reason = "figures for people")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use domain::ids::WorkerId;
use domain::ports::{TokenAdmin, TokenLeases};
use domain::token::{AcquireRequest, Acquired, LeaseOutcome, TokenImport, Wanted};
use secrecy::SecretString;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use token_pool::{Access, EncryptionKeys, Pool, Settings};
use token_pool_rpc::RemotePool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const TOKENS: u32 = 2_000;
const BATCH: u32 = 50;
/// Between the two calls of a pair: as many leases stand as begin within it.
const HELD: Duration = Duration::from_millis(100);
const SECRET: &str = "a shared secret of 32 characters";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if arguments.first().is_some_and(|first| first == "serve") {
        return runtime.block_on(serve());
    }
    let number = |index: usize, usual: u32| arguments.get(index).map_or(usual, |text| text.parse().unwrap());
    runtime.block_on(measure(number(0, 5_000), number(1, 20)));
}

/// The pool's process: says where it listens, and ends with its standard input.
async fn serve() {
    let folder = tempfile::tempdir().unwrap();
    let tiers = domain::tier::Tiers::default();
    let ledger =
        embedded::Ledger::open(embedded::Settings { data_dir: folder.path().to_owned(), tiers }).await.unwrap();
    let keys = EncryptionKeys::parse("k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap();
    let replica = WorkerId::new(domain::Timestamp::UNIX_EPOCH, rand::random());
    let settings = Settings { sole: true, ..Settings::new(replica, keys, SecretString::from("a key of its own")) };
    let stop = CancellationToken::new();
    let registry = prometheus::Registry::new();
    let pool = Pool::start(settings, ledger.clone(), ledger, None, &registry, stop.clone()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    let asked_to_end = stop.clone();
    let end = tokio::task::spawn_blocking(move || {
        let _end = std::io::stdin().read_line(&mut String::new());
        asked_to_end.cancel();
    });
    token_pool::serve(pool, listener, Access { secret: SecretString::from(SECRET), tls: None }, false, stop)
        .await
        .unwrap();
    end.await.unwrap();
}

async fn measure(rate: u32, seconds: u32) {
    let myself = std::env::current_exe().unwrap();
    let mut child = Command::new(myself).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let pool = RemotePool::connect(address.trim(), SecretString::from(SECRET), None).unwrap();
    for thousand in 0..TOKENS / 1_000 {
        pool.import((thousand * 1_000..(thousand + 1) * 1_000).map(token).collect()).await.unwrap();
    }
    println!("{TOKENS} tokens, {rate} pairs a second for {seconds} s, each lease held for {} ms", HELD.as_millis());
    println!("memory of the pool's process: {} before", memory(child.id(), "VmRSS"));
    offer(&pool, rate, seconds, 1).await;
    offer(&pool, rate, seconds, BATCH).await;
    let stats = pool.stats().await.unwrap();
    println!(
        "memory of the pool's process: {} after, {} at most",
        memory(child.id(), "VmRSS"),
        memory(child.id(), "VmHWM")
    );
    println!("leases left: {}", stats.leased);
    drop(child.stdin.take());
    let _status = child.wait().unwrap();
}

fn token(number: u32) -> TokenImport {
    TokenImport {
        // As long as an upstream's usual ones.
        secret: SecretString::from(format!("upstream-secret-{number:048}")),
        label: Some(format!("token {number}")),
        max_concurrency: None,
        requests_per_minute: None,
        expires_at: None,
    }
}

#[derive(Default)]
struct Tally {
    acquired: Vec<Duration>,
    released: Vec<Duration>,
    leases: usize,
    failed: usize,
}

/// Each call at its moment, however many are under way.
async fn offer(pool: &Arc<RemotePool>, rate: u32, seconds: u32, at_once: u32) {
    let calls = rate * seconds / at_once;
    let every = Duration::from_secs(seconds.into()) / calls;
    let tally = Arc::new(Mutex::new(Tally::default()));
    let owner = WorkerId::new(domain::Timestamp::UNIX_EPOCH, rand::random());
    let (tasks, begin) = (TaskTracker::new(), Instant::now());
    for number in 0..calls {
        let due = begin + every * number;
        // The timer's step is a millisecond: what is due within one goes together, and its wait counts.
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        tasks.spawn(pair(pool.clone(), owner, at_once, due, tally.clone()));
    }
    tasks.close();
    tasks.wait().await;
    let took = begin.elapsed();
    let mut tally = tally.lock().unwrap();
    let Tally { acquired, released, leases, failed } = &mut *tally;
    println!(
        "{at_once} a call: {:.0} pairs a second, {failed} calls failed",
        *leases as f64 / (took - HELD).as_secs_f64()
    );
    println!("  acquire {}", percentiles(acquired));
    println!("  release {}", percentiles(released));
}

async fn pair(pool: Arc<RemotePool>, owner: WorkerId, count: u32, due: Instant, tally: Arc<Mutex<Tally>>) {
    let request = AcquireRequest { owner, wanted: Wanted::Count(count), wait_up_to: Duration::ZERO };
    let answer = pool.acquire(request).await;
    let acquired = due.elapsed();
    let Ok(Acquired::Leases(leases)) = answer else {
        tally.lock().unwrap().failed += 1;
        return;
    };
    let due = Instant::now() + HELD;
    tokio::time::sleep_until(due.into()).await;
    let outcomes: Vec<_> = leases.iter().map(|lease| (lease.lease_id, LeaseOutcome::Ok)).collect();
    let released = pool.release(&outcomes).await;
    let mut tally = tally.lock().unwrap();
    tally.acquired.push(acquired);
    tally.released.push(due.elapsed());
    tally.leases += leases.len();
    tally.failed += usize::from(released.is_err());
}

fn percentiles(of: &mut [Duration]) -> String {
    of.sort_unstable();
    let at = |share: f64| of.get((of.len() as f64 * share) as usize).or(of.last()).copied().unwrap_or_default();
    let [median, p99, p999, most] = [0.5, 0.99, 0.999, 1.0].map(|share| at(share).as_secs_f64() * 1_000.0);
    format!("p50 {median:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, at most {most:.2} ms")
}

/// As Linux counts it.
fn memory(process: u32, what: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let kib: Option<f64> = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
    kib.map_or("unknown".to_owned(), |kib| format!("{:.1} MiB", kib / 1_024.0))
}
