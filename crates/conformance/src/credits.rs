//! Credits: the month's grant, top-ups, rises and refunds, and that the entries are the balance.

use crate::fixture::Fixture;
use domain::credits::{Bucket, EntryKind, Month};
use domain::ids::{AccountId, EntryId};
use domain::page::PageRequest;
use domain::ports::accounts::{AccountChange, TopUp};
use domain::tier::Tier;

pub async fn an_untouched_account_shows_its_months_credits(at: &Fixture) {
    let customer = at.customer(Tier::Premium).await;
    let usage = customer.usage().await;
    assert_eq!((usage.balance, usage.reserved, usage.used), (200, 0, 0));
    assert_eq!(usage.resets_at, Month::of(at.now()).resets_at());
    assert_eq!(customer.entries().await, []);
    at.assert_the_books_add_up().await;
}

pub async fn granted_credits_are_spent_before_purchased_ones(at: &Fixture) {
    let customer = at.customer_of(2).await;
    customer.top_up(1).await;
    assert_eq!(customer.credits().await, (3, 0, 0));
    customer.submit_many(3).await;
    assert_eq!(customer.credits().await, (0, 3, 3));
    let debits: Vec<_> =
        customer.entries().await.into_iter().filter(|e| e.kind == EntryKind::Debit).map(|e| e.bucket).collect();
    assert_eq!(debits.iter().filter(|b| **b == Bucket::Granted).count(), 2);
    assert_eq!(debits.iter().filter(|b| **b == Bucket::Purchased).count(), 1);
    at.assert_the_books_add_up().await;
}

pub async fn a_top_up_counts_once(at: &Fixture) {
    let customer = at.customer(Tier::Free).await;
    let top_up = TopUp {
        id: EntryId::new(at.now(), rand::random()),
        account_id: customer.id,
        amount: 7,
        reason: "invoice 9".to_owned(),
    };
    let first = at.top_up(top_up.clone()).await.unwrap();
    assert_eq!((first.kind, first.bucket, first.amount), (EntryKind::TopUp, Bucket::Purchased, 7));
    assert_eq!(first.reason.as_deref(), Some("invoice 9"));
    // The caller never heard the answer and repeats it.
    assert_eq!(at.top_up(top_up.clone()).await, Some(first));
    assert_eq!(customer.credits().await, (12, 0, 0));
    let nobody = TopUp { account_id: AccountId::new(at.now(), rand::random()), ..top_up };
    assert_eq!(at.top_up(nobody).await, None);
    at.assert_the_books_add_up().await;
}

pub async fn a_rise_grants_the_difference_once(at: &Fixture) {
    let customer = at.customer(Tier::Free).await;
    customer.submit().await;
    let to = |tier| AccountChange { tier: Some(tier), ..AccountChange::default() };
    for (tier, balance) in [(Tier::Pro, 49), (Tier::Free, 49), (Tier::Pro, 49), (Tier::Premium, 199)] {
        let changed = at.change(customer.id, to(tier)).await.unwrap();
        assert_eq!(changed.tier, tier);
        assert_eq!(customer.usage().await.balance, balance, "{tier:?}");
    }
    at.assert_the_books_add_up().await;
}

pub async fn a_rise_before_the_first_debit_grants_nothing_twice(at: &Fixture) {
    let customer = at.customer(Tier::Free).await;
    let change = AccountChange { tier: Some(Tier::Pro), ..AccountChange::default() };
    at.change(customer.id, change).await;
    assert_eq!(customer.usage().await.balance, 50);
    customer.submit().await;
    assert_eq!(customer.credits().await, (49, 1, 1));
    at.assert_the_books_add_up().await;
}

pub async fn a_refund_goes_back_where_it_came_from(at: &Fixture) {
    let customer = at.customer_of(1).await;
    customer.top_up(1).await;
    let ids = customer.submit_many(2).await;
    for id in &ids {
        customer.cancel(*id).await;
    }
    assert_eq!(customer.credits().await, (2, 0, 0));
    let entries = customer.entries().await;
    for id in ids {
        let buckets: Vec<_> = entries.iter().filter(|e| e.generation_id == Some(id)).map(|e| e.bucket).collect();
        assert_eq!(buckets.len(), 2);
        assert_eq!(buckets[0], buckets[1]);
    }
    at.assert_the_books_add_up().await;
}

pub async fn entries_come_in_pages_and_add_up(at: &Fixture) {
    let customer = at.customer_of(30).await;
    customer.submit_many(12).await;
    let (mut after, mut sizes, mut sum, mut last) = (None, Vec::new(), 0, None::<EntryId>);
    loop {
        let page = at.accounts.entries(customer.id, PageRequest { limit: 5, after }).await.unwrap();
        sizes.push(page.items.len());
        for entry in &page.items {
            assert!(last.is_none_or(|last| entry.id < last), "newest first");
            last = Some(entry.id);
            sum += entry.amount;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((sizes, sum), (vec![5, 5, 3], 18));
}

pub async fn nobody_has_no_credits(at: &Fixture) {
    let nobody = AccountId::new(at.now(), rand::random());
    assert_eq!(at.accounts.usage(nobody).await.unwrap(), None);
    assert_eq!(at.accounts.entries(nobody, PageRequest::default()).await.unwrap().items, []);
}
