//! Somebody with an API key: submits, watches, fetches, counts their credits.

use client::{Client, ClientError, Event, EventKind, Generation, GenerationQuery, PageQuery, Submission};
use domain::ids::GenerationId;
use domain::state::Status;
use futures::stream::{self, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashSet;
use std::time::Duration;

/// Submissions under way at once.
const AT_ONCE: usize = 16;

#[derive(Clone)]
pub(crate) struct Customer {
    pub key: SecretString,
    pub url: String,
    pub client: Client,
}

impl Customer {
    /// The same key at another gateway.
    pub(crate) fn at(&self, url: &str) -> Self {
        let client = Client::new(url, &self.key).unwrap();
        Self { key: self.key.clone(), url: url.to_owned(), client }
    }

    pub(crate) async fn submits(&self, prompt: &str) -> Generation {
        // One whose commit was in doubt is asked for again, and may be a replay then.
        self.client.submit(&Submission::of(prompt)).await.unwrap().generation
    }

    /// Submits as many, each of which must be accepted.
    pub(crate) async fn submits_many(&self, count: usize) -> HashSet<GenerationId> {
        let submissions = (0..count).map(|number| async move { self.submits(&format!("song {number}")).await.id });
        let ids: HashSet<_> = stream::iter(submissions).buffer_unordered(AT_ONCE).collect().await;
        assert_eq!(ids.len(), count, "each has an id of its own");
        ids
    }

    /// Follows its events to the last one.
    pub(crate) async fn follows(&self, id: GenerationId) -> Vec<Event> {
        let mut events = self.client.events(id, None);
        let mut seen = Vec::new();
        let following = async {
            while let Some(event) = events.next().await.unwrap() {
                seen.push(event);
            }
        };
        tokio::time::timeout(Duration::from_secs(60), following).await.unwrap();
        assert_eq!(seen.last().unwrap().kind, EventKind::Done);
        seen
    }

    /// All generations of the account, newest first, page by page.
    pub(crate) async fn lists(&self, status: Option<Status>) -> Vec<Generation> {
        let (mut all, mut page) = (Vec::new(), Some(PageQuery::of(100)));
        while let Some(asked) = page {
            let query = GenerationQuery { status, page: asked, ..GenerationQuery::default() };
            let answer = self.client.generations(&query).await.unwrap();
            page = answer.next(Some(100));
            all.extend(answer.data);
        }
        all
    }

    /// Each of `ids`, and nothing else, succeeded with one result; the credits say the same.
    pub(crate) async fn has_all_of(&self, ids: &HashSet<GenerationId>) {
        let all = self.lists(None).await;
        assert_eq!(all.iter().map(|generation| generation.id).collect::<HashSet<_>>(), *ids);
        for generation in &all {
            assert_eq!(generation.status, Status::Succeeded, "{generation:?}");
            assert_eq!(generation.output.as_ref().unwrap().tracks.len(), 1, "{generation:?}");
            assert_eq!(generation.credits.captured, 1);
        }
        let account = self.client.account().await.unwrap();
        assert_eq!(account.credits.reserved, 0);
        assert_eq!(account.credits.balance, account.limits.credits_per_month - all.len() as i64);
        assert_eq!(account.generations.used, all.len() as i64);
    }

    /// A request as no typed client would send it.
    pub(crate) fn raw(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        http.request(method, format!("{}{path}", self.url)).bearer_auth(self.key.expose_secret())
    }

    /// The key itself, for whoever looks where it should not be.
    pub(crate) fn client_key(&self) -> String {
        self.key.expose_secret().to_owned()
    }

    /// The status and code of a refusal.
    pub(crate) async fn is_refused(&self, submission: &Submission) -> (u16, String) {
        match self.client.submit(submission).await.unwrap_err() {
            ClientError::Refused(problem) => (problem.status, problem.code),
            other => panic!("{other}"),
        }
    }
}
