//! A token pool of a few lines: fixed secrets, leased in turn; a token that was refused is never leased again.

use async_trait::async_trait;
use domain::ids::{LeaseId, TokenId};
use domain::ports::TokenLeases;
use domain::ports::pool::PoolError;
use domain::token::{AcquireRequest, Acquired, LeaseOutcome, TokenLease, Wanted};
use secrecy::SecretString;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

#[derive(Default)]
struct Book {
    next: u128,
    leased: HashMap<LeaseId, usize>,
    outcomes: Vec<LeaseOutcome>,
    refused: Vec<usize>,
    dry: bool,
    /// Until then nobody is handed out a particular token.
    stalled_until: Option<Instant>,
}

pub(crate) struct FixedTokens {
    secrets: Vec<SecretString>,
    book: Mutex<Book>,
    given_back: Notify,
}

impl FixedTokens {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let secrets = (1..=count).map(|n| SecretString::from(format!("sim-token-{n:05}"))).collect();
        Arc::new(Self { secrets, book: Mutex::new(Book::default()), given_back: Notify::new() })
    }

    pub(crate) fn leased(&self) -> usize {
        self.book.lock().unwrap().leased.len()
    }

    /// Ends once no lease is held: releases follow the writes that they belong to.
    pub(crate) async fn all_given_back(&self) {
        loop {
            let next = self.given_back.notified();
            if self.leased() == 0 {
                return;
            }
            next.await;
        }
    }

    /// Ends once so many have been given back with such an outcome.
    pub(crate) async fn given_back(&self, count: usize, wanted: impl Fn(&LeaseOutcome) -> bool) {
        loop {
            let next = self.given_back.notified();
            if self.released(&wanted) >= count {
                return;
            }
            next.await;
        }
    }

    pub(crate) fn dry(&self, dry: bool) {
        self.book.lock().unwrap().dry = dry;
    }

    /// Whoever asks for a particular token waits, and all of them are answered together in the end.
    pub(crate) fn stall(&self, wait: Duration) {
        self.book.lock().unwrap().stalled_until = Some(Instant::now() + wait);
    }

    pub(crate) fn released(&self, wanted: impl Fn(&LeaseOutcome) -> bool) -> usize {
        self.book.lock().unwrap().outcomes.iter().filter(|outcome| wanted(outcome)).count()
    }

    fn token(index: usize) -> TokenId {
        TokenId::from_uuid(Uuid::from_u128(index as u128 + 1))
    }

    fn lease(&self, book: &mut Book, index: usize) -> TokenLease {
        book.next += 1;
        let lease_id = LeaseId::from_uuid(Uuid::from_u128(book.next));
        book.leased.insert(lease_id, index);
        TokenLease {
            lease_id,
            token_id: Self::token(index),
            secret: self.secrets[index].clone(),
            fencing_token: u64::try_from(book.next).unwrap(),
            expires_in: Duration::from_secs(2),
        }
    }
}

#[async_trait]
impl TokenLeases for FixedTokens {
    async fn acquire(&self, request: AcquireRequest) -> Result<Acquired, PoolError> {
        let stalled_until = self.book.lock().unwrap().stalled_until;
        if let (Wanted::Token(_), Some(until)) = (&request.wanted, stalled_until) {
            tokio::time::sleep_until(until).await;
        }
        let mut book = self.book.lock().unwrap();
        let leases: Vec<_> = match request.wanted {
            _ if book.dry => Vec::new(),
            Wanted::Token(token) => {
                let index = (0..self.secrets.len()).find(|index| Self::token(*index) == token);
                index.map(|index| self.lease(&mut book, index)).into_iter().collect()
            }
            Wanted::Count(count) => {
                let usable: Vec<_> = (0..self.secrets.len()).filter(|index| !book.refused.contains(index)).collect();
                let begin = usize::try_from(book.next).unwrap();
                let count = if usable.is_empty() { 0 } else { count as usize };
                (begin..begin + count).map(|n| self.lease(&mut book, usable[n % usable.len()])).collect()
            }
        };
        Ok(if leases.is_empty() {
            Acquired::Dry { earliest: Some(Duration::from_millis(100)) }
        } else {
            Acquired::Leases(leases)
        })
    }

    async fn renew(&self, leases: &[LeaseId]) -> Result<Vec<LeaseId>, PoolError> {
        Ok(leases.to_vec())
    }

    async fn release(&self, leases: &[(LeaseId, LeaseOutcome)]) -> Result<(), PoolError> {
        let mut book = self.book.lock().unwrap();
        for (lease, outcome) in leases {
            let Some(index) = book.leased.remove(lease) else { continue };
            book.outcomes.push(*outcome);
            if matches!(outcome, LeaseOutcome::Unauthorized | LeaseOutcome::OutOfCredit) {
                book.refused.push(index);
            }
        }
        drop(book);
        self.given_back.notify_waiters();
        Ok(())
    }
}
