//! The actors of the stories: a store's ports, customers who submit and workers who work, with verbs short enough to read.
//!
//! A verb that cannot do what it says fails the story; where a story is about the refusal, it calls the port.

use chrono::TimeDelta;
use domain::Timestamp;
use domain::account::{Account, Overrides};
use domain::admission::{IdempotencyKey, Submission, Tag};
use domain::credits::CreditEntry;
use domain::event::Change;
use domain::generation::{CanceledBy, ErrorCode, Generation, GenerationError, Output, Track};
use domain::ids::{AccountId, EntryId, GenerationId, LeaseId, TokenId, WorkerId};
use domain::lease::{Held, LeaseRef};
use domain::page::PageRequest;
use domain::ports::accounts::{NewAccount, TopUp, Usage};
use domain::ports::generations::{Canceled, Scope, Submitted};
use domain::ports::operators::{Acted, Order, Outcome};
use domain::ports::work::{
    Accepted, Adopted, Applied, Claimed, Load, NewWorker, PutBack, Renewal, Settlement, StepReport, Stepped,
};
use domain::ports::{Accounts, Generations, LedgerClock, Operators, Scaling, Tokens, Work};
use domain::request::{Draft, GenerationRequest};
use domain::tier::Tier;
use futures::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// The lease of a worker that is to live through its story.
pub const LONG_LEASE: Duration = Duration::from_secs(600);
/// A deadline that no story reaches.
pub const LONG_DEADLINE: Duration = Duration::from_secs(3_600);
/// How often a story steps before it gives up on something due within milliseconds.
const STEPS_MOST: u32 = 500;

/// The ports on one empty store.
pub struct Fixture {
    pub accounts: Arc<dyn Accounts>,
    pub operators: Arc<dyn Operators>,
    pub generations: Arc<dyn Generations>,
    pub work: Arc<dyn Work>,
    pub tokens: Arc<dyn Tokens>,
    pub scaling: Arc<dyn Scaling>,
    pub clock: Arc<dyn LedgerClock>,
}

/// Tells a story of a fresh store and cleans up after it, however it ended.
pub async fn tell<C: Future<Output = ()>>(fresh: (Fixture, C), story: impl AsyncFnOnce(&Fixture)) {
    let (fixture, cleanup) = fresh;
    let told = AssertUnwindSafe(story(&fixture)).catch_unwind().await;
    drop(fixture);
    cleanup.await;
    if let Err(panic) = told {
        std::panic::resume_unwind(panic);
    }
}

/// A request as a customer makes one.
pub fn a_request(prompt: &str) -> GenerationRequest {
    GenerationRequest::parse(Draft { prompt: Some(prompt.to_owned()), ..Draft::default() }).unwrap()
}

pub fn an_output() -> Output {
    Output {
        tracks: vec![Track {
            id: "track".to_owned(),
            audio_url: "https://upstream.example/track.mp3".to_owned(),
            image_url: None,
            title: Some("Track".to_owned()),
            duration_seconds: 60.5,
        }],
    }
}

pub fn an_error() -> GenerationError {
    GenerationError::new(ErrorCode::UpstreamUnavailable, "The upstream is down.")
}

/// The change that a fenced write made.
pub fn applied(outcomes: &[Applied]) -> Change {
    match outcomes {
        [Applied::Applied(change)] => *change,
        other => panic!("not applied: {other:?}"),
    }
}

impl Fixture {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn customer(&self, tier: Tier) -> Customer<'_> {
        self.customer_with(tier, Overrides::default()).await
    }

    /// A customer with this many credits and generations a month.
    pub async fn customer_of(&self, monthly: i64) -> Customer<'_> {
        let overrides = Overrides {
            credits_per_month: Some(monthly),
            generations_per_month: Some(monthly.max(10_000)),
            ..Overrides::default()
        };
        self.customer_with(Tier::Free, overrides).await
    }

    pub async fn customer_with(&self, tier: Tier, overrides: Overrides) -> Customer<'_> {
        let id = AccountId::new(self.now(), rand::random());
        let new = NewAccount { id, name: format!("Customer {id}"), email: None, tier, overrides };
        let account = self.accounts.create(new).await.unwrap();
        Customer { at: self, id, account }
    }

    /// A worker that lives on.
    pub async fn worker(&self) -> Worker<'_> {
        let id = WorkerId::new(self.now(), rand::random());
        let new =
            NewWorker { id, name: "host:1".to_owned(), version: "0.1.0".to_owned(), slots: 50, lease: LONG_LEASE };
        self.work.register(new).await.unwrap();
        Worker { at: self, id }
    }

    pub fn a_lease(&self) -> LeaseRef {
        LeaseRef {
            lease_id: LeaseId::new(self.now(), rand::random()),
            token_id: TokenId::new(self.now(), rand::random()),
        }
    }

    /// A generation as anybody sees it.
    pub async fn seen(&self, id: GenerationId) -> Generation {
        self.generations.show(Scope::Everyone, id).await.unwrap().unwrap()
    }

    pub async fn pause(&self, paused: bool) {
        assert_eq!(self.ordered(Order::Pause(paused)).await, Acted::Done(Outcome::Done));
    }

    /// Every account's books add up.
    pub async fn assert_the_books_add_up(&self) {
        let (mut after, mut accounts) = (None, 0);
        loop {
            let verified = self.accounts.verify(after, 100).await.unwrap();
            assert_eq!(verified.discrepancies, [], "after {accounts} accounts");
            accounts += verified.accounts;
            after = verified.next;
            if after.is_none() {
                return;
            }
        }
    }
}

/// Somebody who submits.
pub struct Customer<'a> {
    at: &'a Fixture,
    pub id: AccountId,
    /// As it was made.
    pub account: Account,
}

impl Customer<'_> {
    pub fn scope(&self) -> Scope {
        Scope::Account(self.id)
    }

    pub fn submission(&self) -> Submission {
        Submission {
            id: GenerationId::new(self.at.now(), rand::random()),
            account_id: self.id,
            request: a_request("lofi beat to study to"),
            cancel_after: LONG_DEADLINE,
            idempotency: None,
            retry_of: None,
            trace: None,
        }
    }

    pub fn submission_with_key(&self, key: &str, fingerprint: u8) -> Submission {
        let idempotency = IdempotencyKey { key: key.to_owned(), fingerprint: [fingerprint; 32] };
        Submission { idempotency: Some(idempotency), ..self.submission() }
    }

    /// Submits one thing alone.
    pub async fn try_submit(&self, submission: &Submission) -> Submitted {
        let mut outcomes = self.at.generations.submit(std::slice::from_ref(submission)).await.unwrap();
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }

    pub async fn submit(&self) -> GenerationId {
        self.submit_many(1).await[0]
    }

    /// Submits in one batch. The ids, in order.
    pub async fn submit_many(&self, count: usize) -> Vec<GenerationId> {
        let batch: Vec<_> = (0..count).map(|_| self.submission()).collect();
        let outcomes = self.at.generations.submit(&batch).await.unwrap();
        assert_eq!(outcomes.len(), count);
        let accepted = |outcome| match outcome {
            Submitted::Accepted(generation) => generation.id,
            other => panic!("not accepted: {other:?}"),
        };
        outcomes.into_iter().map(accepted).collect()
    }

    /// Submits what is given up at once.
    pub async fn submit_past_its_deadline(&self) -> GenerationId {
        let submission = Submission { cancel_after: Duration::ZERO, ..self.submission() };
        assert!(matches!(self.try_submit(&submission).await, Submitted::Accepted(_)));
        submission.id
    }

    pub async fn cancel(&self, id: GenerationId) -> Canceled {
        self.at.generations.cancel(self.scope(), id, CanceledBy::Customer).await.unwrap()
    }

    pub async fn usage(&self) -> Usage {
        self.at.accounts.usage(self.id).await.unwrap().unwrap()
    }

    /// Balance, reserved, used.
    pub async fn credits(&self) -> (i64, i64, i64) {
        let usage = self.usage().await;
        (usage.balance, usage.reserved, usage.used)
    }

    /// All of its entries, oldest first.
    pub async fn entries(&self) -> Vec<CreditEntry> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = PageRequest { limit: 100, after };
            let page = self.at.accounts.entries(self.id, page).await.unwrap();
            all.extend(page.items);
            after = page.next;
            if after.is_none() {
                all.reverse();
                return all;
            }
        }
    }

    pub async fn top_up(&self, amount: i64) -> CreditEntry {
        let id = EntryId::new(self.at.now(), rand::random());
        let top_up = TopUp { id, account_id: self.id, amount, reason: "bought".to_owned() };
        self.at.top_up(top_up).await.unwrap()
    }
}

/// Somebody who works: one incarnation.
pub struct Worker<'a> {
    at: &'a Fixture,
    pub id: WorkerId,
}

impl Worker<'_> {
    pub async fn claim(&self, count: usize) -> Vec<Claimed> {
        let leases: Vec<_> = (0..count).map(|_| self.at.a_lease()).collect();
        self.at.work.claim(self.id, &leases).await.unwrap()
    }

    pub async fn claim_one(&self) -> Claimed {
        let mut claimed = self.claim(1).await;
        assert_eq!(claimed.len(), 1, "nothing to claim");
        claimed.remove(0)
    }

    /// Claims one and has it accepted by the upstream.
    pub async fn render_one(&self) -> Claimed {
        let claimed = self.claim_one().await;
        applied(&self.try_rendering(&claimed).await);
        claimed
    }

    pub async fn try_rendering(&self, claimed: &Claimed) -> Vec<Applied> {
        let accepted =
            Accepted { held: claimed.held, upstream_id: format!("up-{}", claimed.held.id), lease: claimed.lease };
        self.at.work.rendering(self.id, &[accepted]).await.unwrap()
    }

    pub async fn try_settle(&self, held: Held, outcome: Result<Output, GenerationError>) -> Applied {
        let settlement = Settlement { held, outcome, upstream_id: None };
        let outcomes = self.at.work.settle(self.id, &[settlement]).await.unwrap();
        assert_eq!(outcomes.len(), 1);
        outcomes[0]
    }

    pub async fn succeed(&self, held: Held) -> Change {
        applied(&[self.try_settle(held, Ok(an_output())).await])
    }

    pub async fn fail(&self, held: Held) -> Change {
        applied(&[self.try_settle(held, Err(an_error())).await])
    }

    pub async fn try_put_back(&self, held: Held, after: Duration, uses_attempt: bool) -> Applied {
        let error = uses_attempt.then(|| "upstream down".to_owned());
        let item = PutBack { held, after, uses_attempt, error, in_doubt: None };
        let outcomes = self.at.work.put_back(self.id, &[item]).await.unwrap();
        assert_eq!(outcomes.len(), 1);
        outcomes[0]
    }

    pub async fn put_back(&self, held: Held, after: Duration, uses_attempt: bool) -> Change {
        applied(&[self.try_put_back(held, after, uses_attempt).await])
    }

    /// Puts back a submission that was sent with this token and whose answer was lost.
    pub async fn put_back_in_doubt(&self, held: Held, token: TokenId) -> Change {
        let error = Some("the answer was lost".to_owned());
        let item = PutBack { held, after: Duration::ZERO, uses_attempt: true, error, in_doubt: Some(token) };
        applied(&self.at.work.put_back(self.id, &[item]).await.unwrap())
    }

    pub async fn renew(&self) -> Renewal {
        self.at.work.renew(self.id, LONG_LEASE, Load::default()).await.unwrap()
    }

    /// Its lease ends now, as that of a worker that went silent.
    pub async fn lapse(&self) {
        let renewal = self.at.work.renew(self.id, Duration::ZERO, Load::default()).await.unwrap();
        assert!(matches!(renewal, Renewal::Renewed { .. }));
    }

    /// Its lease ends now, if it has one.
    pub async fn vanish(&self) {
        self.at.work.renew(self.id, Duration::ZERO, Load::default()).await.unwrap();
    }

    pub async fn step(&self) -> Stepped {
        self.at.work.step(self.id, StepReport::default()).await.unwrap()
    }

    /// As a worker steps that was out of touch until just now.
    pub async fn step_sparing_the_silent(&self) -> Stepped {
        self.at.work.step(self.id, StepReport { spares_the_silent: true, ..StepReport::default() }).await.unwrap()
    }

    pub async fn step_having_claimed(&self, greatest_tag: Tag) -> Stepped {
        self.at.work.step(self.id, StepReport { greatest_tag, ..StepReport::default() }).await.unwrap()
    }

    /// Steps until what is due within milliseconds has happened.
    pub async fn step_until(&self, mut happened: impl FnMut(Stepped) -> bool) {
        for _ in 0..STEPS_MOST {
            if happened(self.step().await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("it never happened");
    }

    pub async fn adopt(&self) -> Vec<Adopted> {
        self.at.work.adopt(self.id, 100).await.unwrap()
    }

    pub async fn retire(&self) {
        self.at.work.retire(self.id).await.unwrap();
    }

    pub async fn closed(&self, held: Held) {
        self.at.work.closed(self.id, &[held]).await.unwrap();
    }

    pub async fn held(&self) -> Vec<GenerationId> {
        self.at.work.held(self.id).await.unwrap().into_iter().map(|(id, _)| id).collect()
    }

    /// What an operator's list says of it.
    pub async fn is_listed(&self) -> bool {
        self.at.work.workers().await.unwrap().iter().any(|view| view.id == self.id)
    }
}

/// Whether `at` is within a minute of the ledger's now: stores on other machines have clocks of their own.
pub fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    (now - at).abs() < TimeDelta::seconds(60)
}
