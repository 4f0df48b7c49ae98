//! Whoever runs the system: opens accounts, imports tokens, watches the queue, proves the books.

use super::{Customer, until};
use client::Client;
use client::admin::{AccountView, ImportResult, NewAccount, QueueView, TokenImport};
use domain::account::Overrides;
use domain::ids::AccountId;
use domain::tier::Tier;
use std::time::Duration;

pub(crate) struct Operator {
    url: String,
    pub key: String,
    pub client: Client,
}

/// Limits that are in nobody's way.
pub(crate) fn without_limits() -> Overrides {
    Overrides {
        requests_per_minute: Some(1_000_000),
        generations_per_month: Some(100_000),
        credits_per_month: Some(100_000),
        share: None,
        backlog_max: Some(100_000),
    }
}

impl Operator {
    pub(crate) fn at(url: &str, key: &str) -> Self {
        let client = Client::new(url, &key.to_owned().into()).unwrap();
        Self { url: url.to_owned(), key: key.to_owned(), client }
    }

    pub(crate) async fn opens_account(&self, tier: Tier, overrides: Option<Overrides>) -> (AccountView, Customer) {
        let account = NewAccount { name: "A story's customer".into(), tier, email: None, overrides };
        let account = self.client.admin().create_account(&account).await.unwrap();
        let customer = self.hands_key_to(account.id).await;
        (account, customer)
    }

    /// A customer whom no limit holds up.
    pub(crate) async fn opens_unlimited_account(&self) -> Customer {
        self.opens_account(Tier::Enterprise, Some(without_limits())).await.1
    }

    pub(crate) async fn hands_key_to(&self, id: AccountId) -> Customer {
        let key = self.client.admin().create_key(id, "story", None).await.unwrap().key.unwrap();
        let client = Client::new(&self.url, &key).unwrap();
        Customer { key, url: self.url.clone(), client }
    }

    pub(crate) async fn imports_tokens(&self, count: u32) {
        let tokens: Vec<TokenImport> =
            (1..=count).map(|number| TokenImport::of(format!("sim-token-{number:05}"))).collect();
        let outcomes = self.client.admin().import_tokens(&tokens).await.unwrap();
        assert!(outcomes.iter().all(|token| token.result != ImportResult::Refused), "{outcomes:?}");
    }

    pub(crate) async fn queue(&self) -> QueueView {
        self.client.admin().queue().await.unwrap()
    }

    /// Waits until nothing waits, runs or renders.
    pub(crate) async fn sees_the_queue_empty(&self, longest: Duration) {
        until("an empty queue", longest, async || {
            let queue = self.queue().await;
            (queue.waiting + queue.active + queue.rendering == 0).then_some(())
        })
        .await;
    }

    pub(crate) async fn proves_the_books(&self) {
        let verification = self.client.admin().verify().await.unwrap();
        assert!(verification.ok, "{verification:?}");
        assert!(verification.accounts > 0);
    }
}
