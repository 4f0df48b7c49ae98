//! What nobody well-meaning sends: each of more than 500 hostile requests gets the same status and code in both modes, none a 5xx, each within 4 s.

mod bodies;
mod heads;
mod places;
mod request;

use crate::system::{Mode, RawAnswer, TestApp, report};
use futures::stream::{self, StreamExt};
use request::{Cast, MARK, Request};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::error::Elapsed;

/// Well before a gateway gives up on a head (5 s) or a body (8 s) that does not come.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);
const AT_LEAST: usize = 500;
const AT_ONCE: usize = 8;
/// `Retry-After` of such an answer.
const AGAIN: Duration = Duration::from_secs(1);

/// All of them. None needs what another leaves behind, so that their order does not matter.
fn requests() -> Vec<Request> {
    [bodies::all(), heads::all(), places::all()].concat()
}

/// What both modes must agree on: the status, the code, and which places are named.
#[derive(Debug, PartialEq)]
struct Verdict {
    status: Option<u16>,
    code: Value,
    places: Value,
}

impl Verdict {
    fn of(answer: Option<&RawAnswer>) -> Self {
        let body = answer.map(RawAnswer::json).unwrap_or_default();
        let status = answer.map(|answer| answer.status);
        Self { status, code: body["code"].clone(), places: body["errors"].clone() }
    }
}

/// What no answer may be, whatever was asked.
fn fault(request: &Request, answer: &RawAnswer) -> Option<&'static str> {
    let is_problem = answer.json()["status"] == answer.status
        && answer.head.to_ascii_lowercase().contains("content-type: application/problem+json");
    // A refusal to HEAD has no body, and what breaks HTTP is refused by what knows nothing of problems.
    let has_form = !request.is_unframed() && !request.name.starts_with("HEAD ");
    match answer.status {
        500.. => Some("an error of ours"),
        400.. if has_form && !is_problem => Some("a refusal that is no problem"),
        400.. if answer.body.contains(MARK) => Some("what was sent is repeated"),
        _ => None,
    }
}

/// A customer, an operator and what the requests name, the same in each system.
async fn cast(app: &TestApp) -> Cast {
    app.upstream.renders_in(0.1).await;
    let customer = app.operator.opens_unlimited_account().await;
    // The operators' requests change another account.
    let changed = app.operator.opens_unlimited_account().await.client.account().await.unwrap().id;
    app.operator.client.admin().pause().await.unwrap();
    let generation = customer.submits("the one that they all speak of").await.id;
    customer.client.cancel(generation).await.unwrap();
    Cast {
        authority: app.url.trim_start_matches("http://").to_owned(),
        customer: secrecy::ExposeSecret::expose_secret(&customer.key).to_owned(),
        operator: app.operator.key.clone(),
        account: changed.to_string(),
        generation: generation.to_string(),
    }
}

/// The answer; asked for again where the service says that it cannot tell now, as the contract has it. A request that makes it say so is told so
/// every time.
async fn answer(authority: &str, bytes: &[u8]) -> Result<Option<RawAnswer>, Elapsed> {
    for _ in 0..4 {
        let answer = RawAnswer::to(authority, bytes, ANSWERED_WITHIN).await?;
        if answer.as_ref().is_none_or(|answer| answer.json()["code"] != "unavailable") {
            return Ok(answer);
        }
        tokio::time::sleep(AGAIN).await;
    }
    RawAnswer::to(authority, bytes, ANSWERED_WITHIN).await
}

/// Sends one to both; answers what the two said, and what is wrong with that.
async fn judge(request: &Request, here: &Cast, there: &Cast) -> (String, Vec<String>) {
    let (bytes_here, bytes_there) = (request.bytes(here), request.bytes(there));
    let (one, other) = tokio::join!(answer(&here.authority, &bytes_here), answer(&there.authority, &bytes_there));
    let name = &request.name;
    let (Ok(one), Ok(other)) = (one, other) else {
        return ("none".to_owned(), vec![format!("{name}: no answer within {ANSWERED_WITHIN:?}")]);
    };
    let answers = [&one, &other].into_iter().flatten();
    let faults =
        answers.filter_map(|answer| fault(request, answer).map(|fault| format!("{name}: {fault}: {answer:?}")));
    let mut complaints: Vec<String> = faults.collect();
    let hung_up = one.is_none() || other.is_none();
    let (one, other) = (Verdict::of(one.as_ref()), Verdict::of(other.as_ref()));
    if one != other && !(hung_up && request.may_hang_up) {
        complaints.push(format!("{name}: embedded {one:?}, production {other:?}"));
    }
    (format!("{} {}", one.status.unwrap_or(0), one.code.as_str().unwrap_or_default()), complaints)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_modes_answer_alike() {
    let (embedded, production) =
        tokio::join!(TestApp::in_mode(Mode::Embedded).start(), TestApp::in_mode(Mode::Production).start());
    let (here, there) = (cast(&embedded).await, cast(&production).await);
    let requests = requests();
    assert!(requests.len() >= AT_LEAST, "{}", requests.len());
    let judging = requests.iter().map(|request| judge(request, &here, &there));
    let judged: Vec<_> = stream::iter(judging).buffer_unordered(AT_ONCE).collect().await;
    let (mut told, mut complaints) = (BTreeMap::<String, usize>::new(), Vec::new());
    for (verdict, more) in judged {
        *told.entry(verdict).or_default() += 1;
        complaints.extend(more);
    }
    report(&format!("{} hostile requests: {told:?}", requests.len()));
    assert!(complaints.is_empty(), "{} complaints: {complaints:#?}", complaints.len());
    for app in [embedded, production] {
        app.operator.client.admin().resume().await.unwrap();
        app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
        app.operator.proves_the_books().await;
        app.stops().await;
    }
}
