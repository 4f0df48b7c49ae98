//! Submissions: what is accepted, replayed and refused, and that nothing is charged twice or beyond the balance.

use crate::fixture::{Fixture, a_request, is_recent};
use domain::account::{AccountStatus, Overrides};
use domain::admission::Submission;
use domain::api_key::KeyHash;
use domain::credits::{EntryKind, Month};
use domain::ids::{AccountId, GenerationId, KeyId};
use domain::ports::accounts::{AccountChange, NewAccount, NewKey};
use domain::ports::generations::{Scope, Submitted};
use domain::state::{Stage, Status, WaitingOn};
use domain::tier::{Tier, UNMETERED};
use futures::future::join_all;
use std::time::Duration;

pub async fn what_is_accepted_is_on_record(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let before = at.now();
    let submission = Submission {
        request: a_request("rain on the window"),
        cancel_after: Duration::from_secs(600),
        retry_of: Some(GenerationId::new(before, rand::random())),
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ..customer.submission()
    };
    let Submitted::Accepted(accepted) = customer.try_submit(&submission).await else { panic!("refused") };
    assert_eq!((accepted.id, accepted.account_id, accepted.tier), (submission.id, customer.id, Tier::Pro));
    assert_eq!(accepted.request, submission.request);
    assert_eq!((accepted.status, accepted.stage), (Status::Queued, Some(Stage::Backlog)));
    assert_eq!(accepted.waiting_on, Some(WaitingOn::Capacity));
    assert_eq!((accepted.attempts, accepted.cost, accepted.version), (0, 1, 1));
    assert_eq!((accepted.output.is_none(), accepted.error.is_none()), (true, true));
    assert!(is_recent(accepted.created_at, before));
    assert_eq!((accepted.cancel_after - accepted.created_at).num_seconds(), 600);
    assert_eq!(accepted.retry_of, submission.retry_of);
    assert_eq!(accepted.trace_id.as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(at.generations.show(customer.scope(), submission.id).await.unwrap(), Some(*accepted));
    assert_eq!(customer.credits().await, (49, 1, 1));
    let kinds: Vec<_> = customer.entries().await.iter().map(|e| (e.kind, e.amount, e.generation_id)).collect();
    assert_eq!(kinds, [(EntryKind::Grant, 50, None), (EntryKind::Debit, -1, Some(submission.id))]);
}

pub async fn a_key_replays_and_is_charged_once(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let first = customer.submission_with_key("order-17", 1);
    let Submitted::Accepted(accepted) = customer.try_submit(&first).await else { panic!("refused") };
    let Submitted::Replayed(replayed) = customer.try_submit(&customer.submission_with_key("order-17", 1)).await else {
        panic!("not replayed")
    };
    assert_eq!(replayed, accepted);
    let other = customer.submission_with_key("order-17", 2);
    assert_eq!(customer.try_submit(&other).await, Submitted::KeyReused);
    assert_eq!(at.generations.show(Scope::Everyone, other.id).await.unwrap(), None);
    assert_eq!(customer.credits().await, (49, 1, 1));
}

pub async fn a_key_belongs_to_its_account(at: &Fixture) {
    let (one, two) = (at.customer(Tier::Free).await, at.customer(Tier::Free).await);
    for customer in [&one, &two] {
        let submission = customer.submission_with_key("same", 1);
        assert!(matches!(customer.try_submit(&submission).await, Submitted::Accepted(g) if g.id == submission.id));
    }
}

pub async fn a_key_holds_within_one_batch(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let batch = [
        customer.submission_with_key("k", 1),
        customer.submission_with_key("k", 1),
        customer.submission_with_key("k", 2),
    ];
    let outcomes = at.generations.submit(&batch).await.unwrap();
    assert!(matches!(&outcomes[0], Submitted::Accepted(g) if g.id == batch[0].id));
    assert!(matches!(&outcomes[1], Submitted::Replayed(g) if g.id == batch[0].id));
    assert_eq!(outcomes[2], Submitted::KeyReused);
    assert_eq!(customer.credits().await, (49, 1, 1));
}

pub async fn one_key_at_once_from_many_gateways_is_accepted_once(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let batch: Vec<_> = (0..20).map(|_| customer.submission_with_key("k", 1)).collect();
    let outcomes = join_all(batch.iter().map(|item| customer.try_submit(item))).await;
    let accepted: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Submitted::Accepted(generation) => Some(generation.id),
            _ => None,
        })
        .collect();
    assert_eq!(accepted.len(), 1);
    let replays = outcomes.iter().filter(|o| matches!(o, Submitted::Replayed(g) if g.id == accepted[0])).count();
    assert_eq!(replays, 19);
    assert_eq!(customer.credits().await, (49, 1, 1));
}

pub async fn each_item_of_a_batch_has_its_own_outcome(at: &Fixture) {
    let (rich, poor, suspended) = (at.customer(Tier::Pro).await, at.customer_of(1).await, at.customer(Tier::Pro).await);
    let change = AccountChange { status: Some(AccountStatus::Suspended), ..AccountChange::default() };
    at.change(suspended.id, change).await;
    let unknown = Submission { account_id: AccountId::new(at.now(), rand::random()), ..rich.submission() };
    let batch =
        [rich.submission(), unknown, poor.submission(), poor.submission(), suspended.submission(), rich.submission()];
    let outcomes = at.generations.submit(&batch).await.unwrap();
    assert!(matches!(&outcomes[0], Submitted::Accepted(g) if g.id == batch[0].id));
    assert_eq!(outcomes[1], Submitted::AccountUnknown);
    assert!(matches!(&outcomes[2], Submitted::Accepted(g) if g.id == batch[2].id));
    assert_eq!(outcomes[3], Submitted::CreditsExhausted);
    assert_eq!(outcomes[4], Submitted::AccountSuspended);
    assert!(matches!(&outcomes[5], Submitted::Accepted(g) if g.id == batch[5].id));
    assert_eq!((rich.credits().await, poor.credits().await), ((48, 2, 2), (0, 1, 1)));
    at.assert_the_books_add_up().await;
}

pub async fn fifty_at_once_spend_exactly_the_balance(at: &Fixture) {
    let customer = at.customer_of(37).await;
    let batch: Vec<_> = (0..50).map(|_| customer.submission()).collect();
    let outcomes = join_all(batch.iter().map(|item| customer.try_submit(item))).await;
    let accepted = outcomes.iter().filter(|o| matches!(o, Submitted::Accepted(_))).count();
    let refused = outcomes.iter().filter(|o| **o == Submitted::CreditsExhausted).count();
    assert_eq!((accepted, refused), (37, 13));
    assert_eq!(customer.credits().await, (0, 37, 37));
    assert_eq!(at.generations.backlog(customer.id).await.unwrap().account, 37);
    at.assert_the_books_add_up().await;
}

pub async fn the_months_quota_binds_before_the_credits(at: &Fixture) {
    let overrides = Overrides { generations_per_month: Some(2), credits_per_month: Some(2), ..Overrides::default() };
    let customer = at.customer_with(Tier::Free, overrides).await;
    let ids = customer.submit_many(2).await;
    let refused = customer.try_submit(&customer.submission()).await;
    let resets_at = Month::of(at.now()).resets_at();
    assert_eq!(refused, Submitted::QuotaExhausted { used: 2, limit: 2, resets_at });
    // What is refunded is not used.
    customer.cancel(ids[0]).await;
    assert!(matches!(customer.try_submit(&customer.submission()).await, Submitted::Accepted(_)));
}

pub async fn the_same_ids_again_are_accepted_and_charged_once(at: &Fixture) {
    let customer = at.customer(Tier::Pro).await;
    let batch = [customer.submission(), customer.submission_with_key("k", 1), customer.submission()];
    let first = at.generations.submit(&batch).await.unwrap();
    // The gateway never heard the answer and asks again, and once more after work began.
    assert_eq!(at.generations.submit(&batch).await.unwrap(), first);
    let worker = at.worker().await;
    assert_eq!(worker.claim(3).await.len(), 3);
    let again = at.generations.submit(&batch).await.unwrap();
    for (outcome, item) in again.iter().zip(&batch) {
        assert!(matches!(outcome, Submitted::Accepted(g) if g.id == item.id && g.status == Status::Processing));
    }
    assert_eq!(customer.credits().await, (47, 3, 3));
    at.assert_the_books_add_up().await;
}

pub async fn the_system_account_pays_nothing(at: &Fixture) {
    let id = AccountId::new(at.now(), rand::random());
    let account =
        NewAccount { id, name: "System".to_owned(), email: None, tier: Tier::System, overrides: Overrides::default() };
    let key = NewKey {
        id: KeyId::new(at.now(), rand::random()),
        account_id: id,
        name: "system".to_owned(),
        prefix: "system".to_owned(),
        hash: KeyHash([9; 32]),
        expires_at: None,
    };
    at.accounts.ensure_system(account, key).await.unwrap();
    let customer = at.customer(Tier::Pro).await;
    let submission = Submission { account_id: id, ..customer.submission() };
    let Submitted::Accepted(accepted) = customer.try_submit(&submission).await else { panic!("refused") };
    assert_eq!((accepted.cost, accepted.tier), (0, Tier::System));
    let usage = at.accounts.usage(id).await.unwrap().unwrap();
    assert_eq!((usage.balance, usage.reserved), (UNMETERED, 0));
    // Nor is anything given back.
    let worker = at.worker().await;
    let claimed = worker.claim_one().await;
    worker.fail(claimed.held).await;
    assert_eq!(at.seen(submission.id).await.status, Status::Failed);
    assert_eq!(at.accounts.usage(id).await.unwrap().unwrap().balance, UNMETERED);
    at.assert_the_books_add_up().await;
}

pub async fn an_empty_batch_is_nothing(at: &Fixture) {
    assert_eq!(at.generations.submit(&[]).await.unwrap(), []);
    let worker = at.worker().await;
    assert_eq!(worker.claim(0).await, []);
    assert_eq!(at.work.settle(worker.id, &[]).await.unwrap(), []);
    assert_eq!(at.generations.show_many(&[]).await.unwrap(), []);
}
