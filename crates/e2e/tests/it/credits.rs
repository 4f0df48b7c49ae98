//! Credits over HTTP: spent to exactly nothing, given back to exactly where they were, and each step in the account's ledger. The same
//! answers in both modes. How a month's rest lapses is the adapters' story: nobody turns the clock of a running system.

use crate::system::{Customer, Mode, TestApp, sized};
use client::{ClientError, CreditEntry, PageQuery, Submission};
use domain::account::Overrides;
use domain::credits::EntryKind;
use domain::state::Status;
use domain::tier::Tier;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use std::time::Duration;

const SYSTEM_KEY: &str = "the-system-accounts-key-for-credits-0123456";
const AT_ONCE: usize = 16;

/// An account with so many credits a month, whom nothing else holds up.
fn credits(count: i64) -> Option<Overrides> {
    Some(Overrides {
        requests_per_minute: Some(1_000_000),
        generations_per_month: Some(1_000_000),
        credits_per_month: Some(count),
        ..Overrides::default()
    })
}

/// The same customer at each gateway.
fn everywhere(app: &TestApp, customer: &Customer) -> Vec<Customer> {
    app.urls.iter().map(|url| customer.at(url)).collect()
}

/// All entries, newest first, in pages of three.
async fn entries(customer: &Customer) -> Vec<CreditEntry> {
    let (mut all, mut page) = (Vec::new(), Some(PageQuery::of(3)));
    while let Some(asked) = page {
        let answer = customer.client.entries(&asked).await.unwrap();
        page = answer.next(Some(3));
        all.extend(answer.data);
    }
    assert!(all.is_sorted_by(|newer, older| newer.id > older.id), "newest first, each once");
    all
}

fn count(entries: &[CreditEntry], kind: EntryKind) -> usize {
    entries.iter().filter(|entry| entry.kind == kind).count()
}

async fn standing(customer: &Customer) -> (i64, i64, i64) {
    let account = customer.client.account().await.unwrap();
    (account.credits.balance, account.credits.reserved, account.generations.used)
}

async fn two_hundred_at_once_spend_exactly_37(app: &TestApp) {
    let customer = app.operator.opens_account(Tier::Free, credits(37)).await.1;
    let gateways = everywhere(app, &customer);
    let submission = Submission::of("one of two hundred");
    let submit = |number: usize| {
        let submission = Submission { idempotency_key: Some(format!("order-{number}")), ..submission.clone() };
        let client = gateways[number % gateways.len()].client.clone();
        async move { client.submit(&submission).await }
    };
    let answers = join_all((0..200).map(submit)).await;
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for answer in answers {
        match answer {
            Ok(submitted) => accepted.push(submitted.generation.id),
            Err(ClientError::Refused(problem)) => {
                assert_eq!((problem.status, problem.code.as_str()), (402, "credits_exhausted"), "{problem}");
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((accepted.len(), refused), (37, 163));
    assert_eq!(standing(&customer).await, (0, 37, 37));
    let entries = entries(&customer).await;
    assert_eq!((count(&entries, EntryKind::Debit), count(&entries, EntryKind::Grant), entries.len()), (37, 1, 38));
    // A credit that comes back can be spent again, once.
    customer.client.cancel(accepted[0]).await.unwrap();
    accepted[0] = customer.submits("on the credit that came back").await.id;
    assert_eq!(customer.is_refused(&Submission::of("one too many")).await, (402, "credits_exhausted".to_owned()));
    for id in &accepted {
        customer.client.cancel(*id).await.unwrap();
    }
    assert_eq!(standing(&customer).await, (37, 0, 0));
}

async fn submitting_and_canceling_leaves_the_balance(app: &TestApp) {
    let cycles = sized(500, 10_000);
    let customer = app.operator.opens_account(Tier::Enterprise, credits(100)).await.1;
    let before = standing(&customer).await;
    let gateways = everywhere(app, &customer);
    let cycle = |number: usize| {
        // Submitted here, canceled there.
        let (here, there) = (&gateways[number % gateways.len()], &gateways[(number + 1) % gateways.len()]);
        async move {
            let id = here.submits("never heard").await.id;
            let canceled = there.client.cancel(id).await.unwrap();
            assert_eq!((canceled.status, canceled.credits.refunded), (Status::Canceled, 1));
        }
    };
    stream::iter(0..cycles).map(cycle).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    assert_eq!(standing(&customer).await, before);
    let entries = entries(&customer).await;
    assert_eq!((count(&entries, EntryKind::Debit), count(&entries, EntryKind::Refund)), (cycles, cycles));
    // What had been handed to the upstream was taken back from it.
    app.operator.sees_the_queue_empty(Duration::from_secs(60)).await;
}

async fn every_step_is_in_the_ledger(app: &TestApp) {
    let (account, customer) = app.operator.opens_account(Tier::Free, None).await;
    assert_eq!((standing(&customer).await, entries(&customer).await), ((5, 0, 0), Vec::new()));
    let kept = customer.submits("kept").await.id;
    let returned = customer.submits("returned").await.id;
    customer.client.cancel(returned).await.unwrap();
    let bought = app.operator.client.admin().top_up(account.id, 10, "invoice 9").await.unwrap();
    let change = client::admin::AccountChange { tier: Some(Tier::Pro), ..Default::default() };
    app.operator.client.admin().change_account(account.id, &change).await.unwrap();

    let entries = entries(&customer).await;
    let told: Vec<_> = entries.iter().rev().map(|entry| (entry.kind, entry.amount, entry.generation_id)).collect();
    assert_eq!(
        told,
        [
            (EntryKind::Grant, 5, None),
            (EntryKind::Debit, -1, Some(kept)),
            (EntryKind::Debit, -1, Some(returned)),
            (EntryKind::Refund, 1, Some(returned)),
            (EntryKind::TopUp, 10, None),
            // The rise of tier: what Pro has more.
            (EntryKind::Grant, 45, None),
        ]
    );
    assert_eq!((entries[1].id, entries[1].reason.as_deref()), (bought.id, Some("invoice 9")));
    let (balance, reserved, used) = standing(&customer).await;
    assert_eq!((balance, reserved, used), (59, 1, 1));
    assert_eq!(entries.iter().map(|entry| entry.amount).sum::<i64>(), balance);
}

async fn the_system_account_is_never_debited(app: &TestApp) {
    let customer = app.operator.opens_unlimited_account().await;
    let key: secrecy::SecretString = SYSTEM_KEY.to_owned().into();
    let client = client::Client::new(&app.url, &key).unwrap();
    let system = Customer { key, url: app.url.clone(), client };
    let before = system.client.account().await.unwrap();
    assert_eq!((before.tier, before.credits.balance, before.rate_limit), (Tier::System, 999_999_999, None));
    let ids = system.submits_many(20).await;
    for id in ids.iter().take(10) {
        let canceled = system.client.cancel(*id).await.unwrap();
        assert_eq!((canceled.credits.reserved, canceled.credits.captured, canceled.credits.refunded), (0, 0, 0));
    }
    let after = system.client.account().await.unwrap();
    assert_eq!(after.credits, before.credits);
    assert_eq!(entries(&system).await, []);
    // It is nobody else's ledger.
    assert_eq!(entries(&customer).await, []);
}

async fn credits_are_exact(mode: Mode) {
    let app = TestApp::in_mode(mode).gateways(2).setting("SYSTEM_API_KEY", SYSTEM_KEY).start().await;
    app.upstream.renders_in(600.0).await;
    two_hundred_at_once_spend_exactly_37(&app).await;
    submitting_and_canceling_leaves_the_balance(&app).await;
    every_step_is_in_the_ledger(&app).await;
    the_system_account_is_never_debited(&app).await;
    let verified = app.admin(&["ledger", "verify"]).await;
    let said = String::from_utf8_lossy(&verified.stdout).into_owned() + &String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success(), "{said}");
    app.operator.proves_the_books().await;
    app.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_credits_are_exact() {
    credits_are_exact(Mode::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn production_credits_are_exact() {
    credits_are_exact(Mode::Production).await;
}
