//! Generations canceled within 5 ms of their completion: one of the two wins, everybody sees the same one, and the credits follow it.

use crate::system::{Completing, Customer, Mode, TestApp, report, sized};
use client::{ClientError, EventKind, Generation, Retries, Submission};
use domain::credits::EntryKind;
use domain::ids::GenerationId;
use domain::state::Status;
use futures::stream::{self, StreamExt};
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

/// How much later than the upstream's "completed" a cancel is sent, so that it meets the completion's commit: found out on the way, for
/// how long a commit takes is the machine's business. After each finish the next cancels come a little later, or a little sooner; the more
/// finishes in a row one side wins, the greater the step.
#[derive(Default)]
struct Aim(Mutex<Found>);

#[derive(Default)]
struct Found {
    micros: i64,
    /// Wins in a row: of cancels above zero, of completions below.
    streak: i64,
}

impl Aim {
    const STEP: i64 = 500;
    const MOST: i64 = 1_000_000;

    /// Around what was found out, evenly: -5 to 5 ms.
    fn of(&self, number: usize) -> i64 {
        self.0.lock().unwrap().micros + (number as i64 * 1_237) % 10_001 - 5_000
    }

    fn learns(&self, won_by: Status) {
        let mut found = self.0.lock().unwrap();
        found.streak = if won_by == Status::Canceled { found.streak.max(0) + 1 } else { found.streak.min(0) - 1 };
        found.micros = (found.micros + Self::STEP * found.streak).clamp(-Self::MOST, Self::MOST);
    }
}

async fn pause(micros: i64) {
    tokio::time::sleep(Duration::from_micros(u64::try_from(micros).unwrap_or(0))).await;
}

/// A cancel, as a customer of a machine with much to do asks for it: again when it is told that the ledger does not answer. What such a cancel had done
/// all the same, the next one is told. Says whether there was one before.
async fn asked_again(customer: &Customer, id: GenerationId) -> (Result<Generation, ClientError>, bool) {
    let client = customer.client.clone().with_retries(Retries::NONE);
    for tried in 0..20 {
        match client.cancel(id).await {
            Err(ClientError::Refused(problem)) if problem.status == 503 => {
                tokio::time::sleep(problem.retry_after.unwrap_or(Duration::from_millis(250))).await;
            }
            answer => return (answer, tried > 0),
        }
    }
    (client.cancel(id).await, true)
}

/// Cancels one about when it completes; answers how the cancel says that it ended.
async fn cancels(customer: Customer, completing: Completing, aim: Arc<Aim>, number: usize) -> (GenerationId, Status) {
    let Completing { id, go } = completing;
    let later = aim.of(number);
    let cancel = async {
        pause(later).await;
        asked_again(&customer, id).await
    };
    let complete = async {
        pause(-later).await;
        // Nobody waits for it any more when the story took too long.
        let _ = go.send(());
    };
    let ((answer, again), ()) = tokio::join!(cancel, complete);
    let ended = match answer {
        Ok(generation) => {
            assert_eq!((generation.status, generation.credits.refunded), (Status::Canceled, 1));
            Status::Canceled
        }
        Err(ClientError::Refused(problem)) => {
            assert_eq!((problem.status, problem.code.as_str()), (409, "already_final"), "{problem}");
            let told = problem.members["generation_status"].as_str().and_then(Status::parse);
            assert!(told == Some(Status::Succeeded) || (again && told == Some(Status::Canceled)), "{problem}");
            told.unwrap()
        }
        Err(other) => panic!("{other}"),
    };
    aim.learns(ended);
    (id, ended)
}

/// Follows one to its end; answers the end that it was told, which must be one.
async fn follows(customer: Customer, id: GenerationId) -> (GenerationId, Status) {
    let events = customer.follows(id).await;
    let ends: Vec<&str> = events
        .iter()
        .filter(|event| event.kind == EventKind::Status)
        .filter_map(|event| event.data["status"].as_str())
        .filter(|status| ["succeeded", "failed", "canceled"].contains(status))
        .collect();
    let done = events.last().unwrap();
    assert_eq!(ends, [done.data["status"].as_str().unwrap()], "{events:?}");
    let outputs = events.iter().filter(|event| event.kind == EventKind::Output).count();
    let errors = events.iter().filter(|event| event.kind == EventKind::Error).count();
    match ends[0] {
        "succeeded" => assert_eq!((outputs, errors), (1, 0)),
        "canceled" => assert_eq!((outputs, errors), (0, 1)),
        other => panic!("{id} ended as {other}"),
    }
    (id, Status::parse(ends[0]).unwrap())
}

/// Reads all of them over and over: what has ended never changes again, in nothing.
async fn polls(customer: Customer, over: Arc<AtomicBool>) -> HashMap<GenerationId, Generation> {
    let mut ended: HashMap<GenerationId, Generation> = HashMap::new();
    loop {
        let last_look = over.load(Ordering::SeqCst);
        for generation in customer.lists(None).await {
            if let Some(known) = ended.get(&generation.id) {
                assert_eq!(*known, generation);
            } else if generation.status.is_final() {
                ended.insert(generation.id, generation);
            }
        }
        if last_look {
            return ended;
        }
    }
}

async fn one_end_each(mode: Mode) {
    let count = sized(200, 5_000);
    let mut app = TestApp::in_mode(mode).gateways(2).with_an_upstream_that_tells().start().await;
    app.upstream.behaves(json!({"render_seconds": {"min": 0.3, "max": 1.5}, "latency_ms": 0})).await;
    let mut completions = app.completions();
    let customer = app.operator.opens_unlimited_account().await;
    let gateways: Vec<Customer> = app.urls.iter().map(|url| customer.at(url)).collect();
    let at = |number: usize| gateways[number % gateways.len()].clone();

    let over = Arc::new(AtomicBool::new(false));
    let (mut polling, mut following, mut canceling) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for number in 0..gateways.len() {
        polling.spawn(polls(at(number), over.clone()));
    }
    let submitting = async {
        let submit = |number: usize| {
            let client = gateways[number % gateways.len()].client.clone();
            let submission = Submission::of("to be canceled at its end");
            async move { (number, client.submit(&submission).await.unwrap().generation.id) }
        };
        let mut submitted = stream::iter(0..count).map(submit).buffer_unordered(16);
        while let Some((number, id)) = submitted.next().await {
            following.spawn(follows(at(number), id));
        }
    };
    let aim = Arc::new(Aim::default());
    let completing = async {
        for number in 0..count {
            let told = tokio::time::timeout(Duration::from_secs(60), completions.recv()).await;
            let completing = told.unwrap_or_else(|_| panic!("{number} of {count} completed")).unwrap();
            canceling.spawn(cancels(at(number + 1), completing, Arc::clone(&aim), number));
        }
    };
    tokio::join!(submitting, completing);
    let said: HashMap<_, _> = canceling.join_all().await.into_iter().collect();
    let told: HashMap<_, _> = following.join_all().await.into_iter().collect();
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
    over.store(true, Ordering::SeqCst);

    let canceled = said.values().filter(|status| **status == Status::Canceled).count();
    report(&format!("{mode:?}: of {count}, {canceled} were canceled and {} succeeded", count - canceled));
    assert!(canceled > 0 && canceled < count, "both win sometimes: {canceled} of {count} were canceled");
    assert_eq!(told, said, "readers were told what the cancel was told");
    for ended in polling.join_all().await {
        let seen: HashMap<_, _> = ended.iter().map(|(id, generation)| (*id, generation.status)).collect();
        assert_eq!(seen, said);
        assert!(
            ended.values().all(|generation| generation.output.is_some() == (generation.status == Status::Succeeded))
        );
    }
    let captured = (count - canceled) as i64;
    let account = customer.client.account().await.unwrap();
    assert_eq!(account.credits.balance, account.limits.credits_per_month - captured);
    assert_eq!((account.credits.reserved, account.generations.used), (0, captured));
    let mut page = Some(client::PageQuery::of(100));
    let (mut debits, mut refunds) = (0, 0);
    while let Some(asked) = page {
        let answer = customer.client.entries(&asked).await.unwrap();
        page = answer.next(Some(100));
        debits += answer.data.iter().filter(|entry| entry.kind == EntryKind::Debit).count();
        refunds += answer.data.iter().filter(|entry| entry.kind == EntryKind::Refund).count();
    }
    assert_eq!((debits, refunds), (count, canceled));
    app.operator.proves_the_books().await;
    app.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_one_end_each() {
    one_end_each(Mode::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_one_end_each() {
    one_end_each(Mode::Production).await;
}
