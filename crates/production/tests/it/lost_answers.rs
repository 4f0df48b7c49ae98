//! Commits whose answers are lost on the way back (row D4): what was accepted is found again by its id or its key, never written twice.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use crate::database::{Database, PATIENT};
use crate::ledger::ports;
use domain::admission::Submission;
use domain::ids::GenerationId;
use domain::ports::generations::Submitted;
use domain::ports::{Generations, StoreError};
use production::{Ledger, Settings};
use secrecy::ExposeSecret;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Where the statement that accepts is known by.
const ACCEPTS: &[u8] = b"insert into idempotency_keys";

/// Before PostgreSQL: a statement that accepts goes through, and commits by itself; its answer is eaten and the connection cut, as often as it was
/// told to.
struct Eater {
    port: u16,
    left: Arc<AtomicUsize>,
    _accepting: AbortOnDropHandle<()>,
}

impl Eater {
    async fn before(host: String, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicUsize::new(0));
        let eats = Arc::clone(&left);
        let accepting = TaskTracker::new().spawn(async move {
            let mut tasks = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect((host.as_str(), port)).await.unwrap();
                tasks.spawn(between(near, far, Arc::clone(&eats)));
            }
        });
        Self { port: own, left, _accepting: AbortOnDropHandle::new(accepting) }
    }
}

async fn between(mut near: TcpStream, mut far: TcpStream, eats: Arc<AtomicUsize>) {
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let mut accepting: Option<Vec<u8>> = None;
    loop {
        tokio::select! {
            read = near.read(&mut asked) => {
                let Ok(read @ 1..) = read else { return };
                let commits = match prepared(&asked[..read]) {
                    Some(name) => {
                        accepting = Some(name);
                        false
                    }
                    None => accepting.as_ref().is_some_and(|name| is_bound(&asked[..read], name)),
                };
                if far.write_all(&asked[..read]).await.is_err() {
                    return;
                }
                let eaten = |left: usize| left.checked_sub(1);
                if commits && eats.fetch_update(Ordering::SeqCst, Ordering::SeqCst, eaten).is_ok() {
                    // Its answer is here: so it is committed. Nobody hears of it.
                    let _committed = far.read(&mut answered).await;
                    return;
                }
            }
            read = far.read(&mut answered) => {
                let Ok(read @ 1..) = read else { return };
                if near.write_all(&answered[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// `Parse` of the statement that accepts: what it is called from then on, its closing zero included.
fn prepared(message: &[u8]) -> Option<Vec<u8>> {
    let name = message.strip_prefix(b"P")?.get(4..)?;
    let accepts = message.windows(ACCEPTS.len()).any(|bytes| bytes == ACCEPTS);
    let end = name.iter().position(|byte| *byte == 0)?;
    accepts.then(|| name[..=end].to_vec())
}

/// `Bind` of a statement: the empty name of a portal, then its own.
fn is_bound(message: &[u8], name: &[u8]) -> bool {
    message.first() == Some(&b'B') && message.get(6..).is_some_and(|rest| rest.starts_with(name))
}

async fn one(ledger: &Ledger, submission: &Submission) -> Result<Submitted, StoreError> {
    Ok(ledger.submit(std::slice::from_ref(submission)).await?.remove(0))
}

fn id_of(outcome: &Submitted) -> GenerationId {
    match outcome {
        Submitted::Accepted(generation) | Submitted::Replayed(generation) => generation.id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn five_hundred_commits_in_doubt_are_five_hundred_generations() {
    let database = Database::fresh().await;
    let options = PgConnectOptions::from_str(database.url.expose_secret()).unwrap();
    let eater = Eater::before(options.get_host().to_owned(), options.get_port()).await;
    let url = options.host("127.0.0.1").port(eater.port).to_url_lossy().to_string();
    let settings = Settings { database_url: url.into(), ..database.settings() };
    let ledger = Ledger::configured(settings, PATIENT).await.unwrap();
    let at = ports(&ledger);
    let customer = at.customer_of(1_000).await;
    let (mut ids, mut doubts) = (BTreeSet::new(), 0);
    for n in 0..500 {
        let submission = customer.submission_with_key(&format!("order {n}"), 1);
        eater.left.store(1, Ordering::SeqCst);
        let first = one(&ledger, &submission).await;
        doubts += usize::from(matches!(first, Err(StoreError::InDoubt(_))));
        // A gateway repeats the same batch; a client that was told 503 comes again with its key, to another gateway.
        let again =
            if n % 2 == 0 { submission.clone() } else { customer.submission_with_key(&format!("order {n}"), 1) };
        let found = id_of(&one(&ledger, &again).await.unwrap());
        assert_eq!(found, submission.id, "{first:?}");
        ids.insert(found);
    }
    assert_eq!((ids.len(), doubts), (500, 500));
    assert_eq!(customer.credits().await, (500, 500, 500));
    at.assert_the_books_add_up().await;
    ledger.close().await;
    database.drop().await;
}
