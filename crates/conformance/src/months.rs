//! A month that passes: what was granted for it lapses, what was bought stays, and a late refund goes where it came from.

use crate::fixture::Fixture;
use async_trait::async_trait;
use domain::credits::{Bucket, EntryKind};
use domain::ids::AccountId;
use domain::tier::Tier;

/// Reaches into a store where no port does: a story cannot wait for a month.
#[async_trait]
pub trait Past: Send + Sync {
    /// What the account was granted, used and debited this month was of an earlier one.
    async fn a_month_passes(&self, account: AccountId);
}

/// Kind, bucket and amount of an account's entries, oldest first, from the given one on.
async fn moved(customer: &crate::Customer<'_>, from: usize) -> Vec<(EntryKind, Bucket, i64)> {
    customer.entries().await[from..].iter().map(|entry| (entry.kind, entry.bucket, entry.amount)).collect()
}

pub async fn what_is_left_of_a_grant_lapses_and_what_was_bought_stays(at: &Fixture, past: &dyn Past) {
    let customer = at.customer(Tier::Free).await;
    customer.top_up(3).await;
    customer.submit_many(2).await;
    assert_eq!(customer.credits().await, (6, 2, 2));
    past.a_month_passes(customer.id).await;
    // A reader sees the new month at once; it is written with the first that touches the purse.
    assert_eq!(customer.credits().await, (8, 2, 0));
    let before = customer.entries().await.len();
    customer.submit().await;
    assert_eq!(customer.credits().await, (7, 3, 1));
    let granted = Bucket::Granted;
    let expected = [(EntryKind::Lapse, granted, -3), (EntryKind::Grant, granted, 5), (EntryKind::Debit, granted, -1)];
    assert_eq!(moved(&customer, before).await, expected);
    at.assert_the_books_add_up().await;
}

pub async fn a_refund_of_a_past_month_lapses_with_it(at: &Fixture, past: &dyn Past) {
    let customer = at.customer(Tier::Free).await;
    let id = customer.submit().await;
    past.a_month_passes(customer.id).await;
    let fresh = customer.submit().await;
    assert_eq!(customer.credits().await, (4, 2, 1));
    let before = customer.entries().await.len();
    customer.cancel(id).await;
    assert_eq!(customer.credits().await, (4, 1, 1));
    let expected = [(EntryKind::Refund, Bucket::Granted, 1), (EntryKind::Lapse, Bucket::Granted, -1)];
    assert_eq!(moved(&customer, before).await, expected);
    // One of this month returns to it.
    customer.cancel(fresh).await;
    assert_eq!(customer.credits().await, (5, 0, 0));
    at.assert_the_books_add_up().await;
}

pub async fn a_new_month_has_its_own_quota(at: &Fixture, past: &dyn Past) {
    let customer = at.customer(Tier::Free).await;
    customer.top_up(10).await;
    customer.submit_many(5).await;
    let refused = customer.try_submit(&customer.submission()).await;
    assert!(
        matches!(refused, domain::ports::generations::Submitted::QuotaExhausted { used: 5, limit: 5, .. }),
        "{refused:?}"
    );
    past.a_month_passes(customer.id).await;
    customer.submit_many(5).await;
    assert_eq!(customer.credits().await, (10, 10, 5));
    at.assert_the_books_add_up().await;
}
