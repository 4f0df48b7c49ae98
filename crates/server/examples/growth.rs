//! What the ledger's calls cost at the size that it has: claims, settlements, submissions, reads and pages, one caller, through the adapters.
//!
//! ```text
//! scripts/measure-growth            fills ledgers of several sizes and runs this on each
//! growth postgres://…|FOLDER [rounds]
//! ```
//!
//! Each round claims fifty, settles them and submits fifty others, so that as much waits at the end as at the beginning. It expects the accounts
//! that the script makes. Nothing is asserted here.

#![expect(clippy::print_stdout, reason = "figures for people")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use domain::admission::{IdempotencyKey, Submission};
use domain::generation::{Output, Track};
use domain::ids::{AccountId, GenerationId, LeaseId, TokenId, WorkerId};
use domain::lease::LeaseRef;
use domain::page::PageRequest;
use domain::ports::generations::{GenerationFilter, Scope, Submitted};
use domain::ports::work::{Applied, NewWorker, Settlement, StepReport};
use domain::ports::{Generations, LedgerClock, Work};
use domain::request::{Draft, GenerationRequest};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const BATCH: usize = 50;
const ACCOUNTS: u64 = 10_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().unwrap();
    let rounds = arguments.next().map_or(400, |rounds| rounds.parse().unwrap());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let tiers = domain::tier::Tiers::default();
        if place.starts_with("postgres") {
            let settings = production::Settings { database_url: place.into(), pool_min: 1, pool_max: 4, tiers };
            measure(production::Ledger::connect(settings).await.unwrap(), rounds).await;
        } else {
            let settings = embedded::Settings { data_dir: place.into(), tiers };
            let ledger = embedded::Ledger::open(settings).await.unwrap();
            measure(ledger.clone(), rounds).await;
            ledger.close().await;
        }
    });
}

async fn measure<L: Generations + Work + LedgerClock>(ledger: Arc<L>, rounds: u32) {
    if rounds == 0 {
        return;
    }
    let (mut customer, mut costs) = ((0..).map(account), Costs::default());
    let worker = WorkerId::new(ledger.now(), rand::random());
    let lease = Duration::from_secs(600);
    let new = NewWorker { id: worker, name: "growth".into(), version: String::new(), slots: 50, lease };
    ledger.register(new).await.unwrap();
    for round in 0..rounds {
        let leases: Vec<_> = (0..BATCH).map(|_| any_lease(&*ledger)).collect();
        let claimed = costs.of("claim 50", ledger.claim(worker, &leases)).await.unwrap();
        assert_eq!(claimed.len(), BATCH);
        let settlements: Vec<_> = claimed.iter().map(|claimed| ended(claimed.held)).collect();
        let settled = costs.of("settle 50", ledger.settle(worker, &settlements)).await.unwrap();
        assert!(settled.iter().all(|outcome| matches!(outcome, Applied::Applied(_))));
        let batch: Vec<_> = customer.by_ref().take(BATCH).map(|account| submission(&*ledger, account)).collect();
        let submitted = costs.of("submit 50", ledger.submit(&batch)).await.unwrap();
        assert!(submitted.iter().all(|outcome| matches!(outcome, Submitted::Accepted(_))));
        let scope = Scope::Account(account(u64::from(round) % ACCOUNTS));
        let page = PageRequest { limit: 20, after: None };
        let page = costs.of("list 20", ledger.list(scope, &GenerationFilter::default(), page)).await.unwrap();
        if let Some(last) = page.items.last() {
            costs.of("show one", ledger.show(scope, last.id)).await.unwrap().unwrap();
        }
        costs
            .of("show fifty", ledger.show_many(&settlements.iter().map(|item| item.held.id).collect::<Vec<_>>()))
            .await
            .unwrap();
        costs.of("place", ledger.place(batch[0].id)).await.unwrap();
        costs.of("backlog", ledger.backlog(batch[0].account_id)).await.unwrap();
        costs.of("step", ledger.step(worker, StepReport::default())).await.unwrap();
        if round % 20 == 0 {
            costs.of("queue", ledger.queue()).await.unwrap();
        }
    }
    ledger.retire(worker).await.unwrap();
    costs.print();
}

fn account(number: u64) -> AccountId {
    AccountId::from_uuid(Uuid::from_u128(0x7000_8000_0000_0000_0000 | u128::from(number % ACCOUNTS + 1)))
}

fn any_lease(clock: &dyn LedgerClock) -> LeaseRef {
    let now = clock.now();
    LeaseRef { lease_id: LeaseId::new(now, rand::random()), token_id: TokenId::new(now, rand::random()) }
}

fn ended(held: domain::lease::Held) -> Settlement {
    let track = Track {
        id: "one".into(),
        audio_url: "https://upstream.example/audio/one.mp3".into(),
        image_url: None,
        title: Some("Growth".into()),
        duration_seconds: 60.0,
    };
    Settlement { held, outcome: Ok(Output { tracks: vec![track] }), upstream_id: Some("one".into()) }
}

fn submission(clock: &dyn LedgerClock, account_id: AccountId) -> Submission {
    let id = GenerationId::new(clock.now(), rand::random());
    let draft = Draft { prompt: Some("a song that came later".into()), ..Draft::default() };
    Submission {
        id,
        account_id,
        request: GenerationRequest::parse(draft).unwrap(),
        cancel_after: Duration::from_secs(3_600),
        idempotency: Some(IdempotencyKey { key: id.to_string(), fingerprint: rand::random() }),
        retry_of: None,
        trace: None,
    }
}

/// What each kind of call took, in the order of their first.
#[derive(Default)]
struct Costs(Vec<(&'static str, Vec<Duration>)>);

impl Costs {
    async fn of<T>(&mut self, what: &'static str, call: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let outcome = call.await;
        let took = begun.elapsed();
        match self.0.iter_mut().find(|(known, _)| *known == what) {
            Some((_, all)) => all.push(took),
            None => self.0.push((what, vec![took])),
        }
        outcome
    }

    fn print(mut self) {
        println!("{:<12} {:>8} {:>8} {:>8} ms", "", "least", "p50", "p95");
        for (what, all) in &mut self.0 {
            all.sort_unstable();
            let at = |part: f64| all[((all.len() - 1) as f64 * part) as usize].as_secs_f64() * 1_000.0;
            println!("{what:<12} {:>8.2} {:>8.2} {:>8.2}", at(0.0), at(0.5), at(0.95));
        }
    }
}
