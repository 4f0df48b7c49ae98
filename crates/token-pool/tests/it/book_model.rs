//! The lease book against a model of what is really in use: random histories of acquiring, claiming, renewing, releasing, forgetting,
//! dying, adopting, expiring, reading the ledger (with other things happening meanwhile) and failing over.
//!
//! Whatever happens, no token is used beyond its concurrency, none is granted while its health forbids it, fencing tokens grow, and when
//! all work has ended nothing is left leased.

use domain::Timestamp;
use domain::ids::{LeaseId, TokenId, WorkerId};
use domain::ports::tokens::Epoch;
use domain::token::{LeaseOutcome, NamedLease};
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;
use token_pool::health::{Event, Health, Policy};
use token_pool::lease_book::{Given, Grant, LeaseBook, Released, Terms, Ticket};

/// Within which workers claim with a grant; how long the book holds it.
const GRANT: Duration = Duration::from_secs(2);
const HOLD: Duration = Duration::from_secs(10);
const TOKENS: u8 = 3;

#[derive(Debug, Clone)]
enum Step {
    Acquire(u8, u32),
    /// A grant in hand becomes a work row.
    Claim(usize),
    Renew(usize),
    ReleaseGrant(usize, LeaseOutcome),
    /// A worker dies with a grant in hand.
    Forget(usize),
    /// A work row ends; then its lease is released.
    Settle(usize, LeaseOutcome),
    /// A work row ends and the release is lost.
    SettleSilently(usize),
    Adopt(usize, u8),
    ReadBegins,
    ReadEnds,
    Pass(u64),
    Reinstate(u8),
    FailOver,
}

fn outcome() -> impl Strategy<Value = LeaseOutcome> {
    prop_oneof![
        8 => Just(LeaseOutcome::Ok),
        2 => Just(LeaseOutcome::Abandoned),
        1 => (0u64..20).prop_map(|after| LeaseOutcome::RateLimited { retry_after: Some(Duration::from_secs(after)) }),
        1 => Just(LeaseOutcome::Unauthorized),
        1 => Just(LeaseOutcome::OutOfCredit),
        2 => Just(LeaseOutcome::UpstreamError),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let any = any::<usize>;
    prop_oneof![
        6 => (0u8..3, 1u32..6).prop_map(|(worker, count)| Step::Acquire(worker, count)),
        6 => any().prop_map(Step::Claim),
        1 => any().prop_map(Step::Renew),
        2 => (any(), outcome()).prop_map(|(which, outcome)| Step::ReleaseGrant(which, outcome)),
        1 => any().prop_map(Step::Forget),
        4 => (any(), outcome()).prop_map(|(which, outcome)| Step::Settle(which, outcome)),
        1 => any().prop_map(Step::SettleSilently),
        1 => (any(), 0u8..3).prop_map(|(which, worker)| Step::Adopt(which, worker)),
        2 => Just(Step::ReadBegins),
        2 => Just(Step::ReadEnds),
        4 => (0u64..6_000).prop_map(Step::Pass),
        1 => (0..TOKENS).prop_map(Step::Reinstate),
        1 => Just(Step::FailOver),
    ]
}

/// What is really in use, and what the upstream has said of each token. This is the reference.
#[derive(Default)]
struct Model {
    in_hand: Vec<(LeaseId, TokenId, Timestamp)>,
    rows: Vec<NamedLease>,
    fences: HashMap<TokenId, u64>,
    barred: HashMap<TokenId, Option<Timestamp>>,
}

impl Model {
    fn used(&self, token: TokenId, now: Timestamp) -> usize {
        let fresh = self.in_hand.iter().filter(|(_, of, since)| *of == token && now - *since <= delta(GRANT)).count();
        fresh + self.rows.iter().filter(|row| row.token_id == token).count()
    }

    fn granted(&mut self, grant: &Grant, now: Timestamp) {
        let barred = self.barred.get(&grant.token_id);
        assert!(barred.is_none_or(|until| until.is_some_and(|at| at <= now)), "granted while barred until {barred:?}");
        assert!(expires(grant.token_id).is_none_or(|at| now < at), "granted though it has expired");
        let last = self.fences.insert(grant.token_id, grant.fencing_token);
        assert!(last.is_none_or(|last| last < grant.fencing_token), "the fencing token did not grow");
        self.in_hand.push((grant.lease_id, grant.token_id, now));
        assert!(self.used(grant.token_id, now) <= cap(grant.token_id), "a token beyond its concurrency");
    }

    fn heard(&mut self, token: TokenId, outcome: LeaseOutcome, now: Timestamp) {
        let bar = match outcome {
            LeaseOutcome::Unauthorized | LeaseOutcome::OutOfCredit => None,
            LeaseOutcome::RateLimited { retry_after } => Some(now + retry_after.unwrap_or_default()),
            _ => return,
        };
        let old = self.barred.get(&token).copied();
        self.barred.insert(
            token,
            if old == Some(None) { None } else { bar.map(|at| old.flatten().map_or(at, |o| o.max(at))) },
        );
    }
}

fn delta(duration: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(duration).unwrap()
}

fn token(number: u8) -> TokenId {
    TokenId::new(Timestamp::UNIX_EPOCH, [number; 10])
}

fn worker(number: u8) -> WorkerId {
    WorkerId::new(Timestamp::UNIX_EPOCH, [number; 10])
}

/// One of them, in the middle of most histories.
fn expires(id: TokenId) -> Option<Timestamp> {
    (id == token(1)).then(|| Timestamp::UNIX_EPOCH + Duration::from_secs(12))
}

/// 1, 2 and 3 at once.
fn cap(id: TokenId) -> usize {
    (0..TOKENS).position(|number| token(number) == id).unwrap() + 1
}

fn book(epoch: i64, health: impl Fn(TokenId) -> Health, now: Timestamp) -> LeaseBook {
    let mut book = LeaseBook::new(Epoch(epoch), Policy::default(), HOLD);
    for id in (0..TOKENS).map(token) {
        let max_concurrency = u32::try_from(cap(id)).unwrap();
        let health = health(id);
        book.add(Terms { id, max_concurrency, requests_per_minute: None, expires_at: expires(id), health }, now);
    }
    book
}

struct World {
    book: LeaseBook,
    model: Model,
    now: Timestamp,
    epoch: i64,
    ids: u64,
    /// The ledger as it was when the reading began: the worst it may answer.
    reading: Option<(Ticket, Vec<NamedLease>)>,
}

fn pick<T>(from: &[T], which: usize) -> Option<usize> {
    (!from.is_empty()).then(|| which % from.len())
}

impl World {
    fn new() -> Self {
        let now = Timestamp::UNIX_EPOCH;
        let book = book(1, |_| Health::usable(), now);
        Self { book, model: Model::default(), now, epoch: 1, ids: 0, reading: None }
    }

    fn new_id(&mut self) -> LeaseId {
        self.ids += 1;
        LeaseId::from_uuid(uuid::Uuid::from_u128(self.ids.into()))
    }

    fn take(&mut self, step: &Step) {
        let now = self.now;
        match *step {
            Step::Acquire(who, count) => {
                let mut ids: Vec<LeaseId> = (0..count).map(|_| self.new_id()).collect();
                let grants = self.book.grant(worker(who), count, now, || ids.pop().unwrap());
                grants.iter().for_each(|grant| self.model.granted(grant, now));
            }
            Step::Claim(which) => {
                if let Some(index) = pick(&self.model.in_hand, which) {
                    let (lease_id, token_id, since) = self.model.in_hand.swap_remove(index);
                    if now - since <= delta(GRANT) {
                        self.model.rows.push(NamedLease { lease_id, token_id, owner: Some(worker(0)) });
                    }
                }
            }
            Step::Renew(which) => {
                if let Some(index) = pick(&self.model.in_hand, which) {
                    if self.book.renew(&[self.model.in_hand[index].0], now).is_empty() {
                        self.model.in_hand.swap_remove(index);
                    } else {
                        self.model.in_hand[index].2 = now;
                    }
                }
            }
            Step::ReleaseGrant(which, outcome) => {
                if let Some(index) = pick(&self.model.in_hand, which) {
                    let (lease, token, _) = self.model.in_hand.swap_remove(index);
                    self.release(lease, token, outcome);
                }
            }
            Step::Forget(which) => {
                // Nobody uses it any more; the book cannot know.
                if let Some(index) = pick(&self.model.in_hand, which) {
                    self.model.in_hand.swap_remove(index);
                }
            }
            Step::Settle(which, outcome) => {
                if let Some(index) = pick(&self.model.rows, which) {
                    let row = self.model.rows.swap_remove(index);
                    self.release(row.lease_id, row.token_id, outcome);
                }
            }
            Step::SettleSilently(which) => {
                if let Some(index) = pick(&self.model.rows, which) {
                    self.model.rows.swap_remove(index);
                }
            }
            Step::Adopt(which, who) => {
                if let Some(index) = pick(&self.model.rows, which) {
                    self.model.rows[index].owner = Some(worker(who));
                    self.take(&Step::ReadBegins);
                    self.take(&Step::ReadEnds);
                    let (row, id) = (self.model.rows[index], self.new_id());
                    if let Given::Granted(grant) = self.book.grant_token(worker(who), row.token_id, now, id)
                        && grant.lease_id == id
                    {
                        self.model.granted(&grant, now);
                    }
                }
            }
            Step::ReadBegins => self.reading = Some((self.book.reading_begins(now), self.model.rows.clone())),
            Step::ReadEnds => {
                if let Some((ticket, rows)) = self.reading.take() {
                    assert!(self.book.reading_ends(ticket, &rows, now).is_some());
                }
            }
            Step::Pass(millis) => self.now += Duration::from_millis(millis),
            Step::Reinstate(number) => {
                self.book.happen(token(number), &Event::Reinstated, now);
                self.model.barred.remove(&token(number));
            }
            Step::FailOver => {
                // The new leader waits until the old one's grants are over, then counts.
                self.now += GRANT + Duration::from_millis(1);
                self.epoch += 1;
                let old = &self.book;
                let stored = |id| {
                    let (state, until, reason) = old.health(id).unwrap().row();
                    Health::of_row(state, until, reason, self.now)
                };
                self.book = book(self.epoch, stored, self.now);
                self.take(&Step::ReadBegins);
                self.take(&Step::ReadEnds);
            }
        }
        for id in (0..TOKENS).map(token) {
            assert!(self.model.used(id, self.now) <= cap(id), "a token beyond its concurrency");
            assert!(self.book.token(id).unwrap().1 as usize <= cap(id), "the book is over");
        }
    }

    fn release(&mut self, lease: LeaseId, token: TokenId, outcome: LeaseOutcome) {
        if self.book.release(lease, outcome, self.now) != Released::Unknown {
            self.model.heard(token, outcome, self.now);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_leases_a_token_beyond_its_concurrency_or_leaks_a_lease(steps in proptest::collection::vec(step(), 1..50)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        // All work ends; whoever held a grant is gone.
        world.model.rows.clear();
        world.model.in_hand.clear();
        world.now += HOLD;
        world.take(&Step::ReadBegins);
        world.take(&Step::ReadEnds);
        prop_assert_eq!(world.book.leased(), 0);
    }
}
