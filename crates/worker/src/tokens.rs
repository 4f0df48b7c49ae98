//! Token leases: giving them back in batches, asking for a particular one, and the secrets of adopted renders.

use crate::hand::Entry;
use crate::incarnation::Incarnation;
use domain::ids::{LeaseId, TokenId};
use domain::lease::{Held, LeaseRef};
use domain::retry;
use domain::token::{AcquireRequest, Acquired, LeaseOutcome, TokenLease, Wanted};
use secrecy::SecretString;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;

const BATCH_MOST: usize = 500;
const CALL_LIMIT: Duration = Duration::from_secs(5);
const RELEASE_TRIES: u32 = 4;
const RELEASE_PAUSE: Duration = Duration::from_millis(250);
/// A grant stands for about two seconds.
const KEEP_EVERY: Duration = Duration::from_millis(700);
/// Secrets kept for adopted renders: one a token, for as long as an adoption takes.
const SECRETS_MOST: usize = 2_048;
const SECRETS_FOR: Duration = Duration::from_secs(60);
/// By then every lease from before the refusal has been used or given back.
const REFUSED_FOR: Duration = Duration::from_secs(5);

impl Incarnation {
    /// Never waits. What does not reach the pool it finds by itself, since the lease record is the work row.
    pub(crate) fn release(&self, lease: LeaseId, outcome: LeaseOutcome) {
        if self.releases.try_send((lease, outcome)).is_err() {
            tracing::debug!("a release was dropped: too many wait for the pool");
        }
    }

    /// Tells the pool what the upstream made of a token before the work that names it has ended.
    pub(crate) fn report(&self, held: Held, lease: LeaseRef, outcome: LeaseOutcome) {
        self.hand.with(held, |entry| entry.reported = true);
        self.refused.note(lease.token_id, outcome);
        self.release(lease.lease_id, outcome);
    }

    /// The upstream has refused the token (401, 403): whatever renders under it here is looked at now, and begins anew with another one.
    pub(crate) fn revoked(&self, held: Held, lease: LeaseRef) {
        self.report(held, lease, LeaseOutcome::Unauthorized);
        for other in self.hand.rendering_under(lease.token_id) {
            self.timer.schedule(&self.hand, other, Duration::ZERO);
        }
    }
}

/// Gives leases back, all that gathered at once; a hundred times a second at most.
pub(crate) async fn release(inc: Arc<Incarnation>, mut queue: Receiver<(LeaseId, LeaseOutcome)>) {
    let mut gathered = Vec::with_capacity(BATCH_MOST);
    loop {
        tokio::select! {
            biased;
            () = inc.signals.lost.cancelled() => return,
            _count = queue.recv_many(&mut gathered, BATCH_MOST) => {}
            () = inc.signals.last.cancelled() => return,
        }
        tokio::select! {
            biased;
            () = inc.signals.lost.cancelled() => return,
            () = give_back(&inc, &gathered) => {}
        }
        gathered.clear();
        inc.rests().await;
    }
}

async fn give_back(inc: &Incarnation, leases: &[(LeaseId, LeaseOutcome)]) {
    for attempt in 1..=RELEASE_TRIES {
        match tokio::time::timeout(CALL_LIMIT, inc.leases.release(leases)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => tracing::warn!(%error, count = leases.len(), "leases were not given back"),
            Err(_) => tracing::warn!(count = leases.len(), "leases were not given back in time"),
        }
        tokio::time::sleep(RELEASE_PAUSE * attempt).await;
    }
}

/// A lease of this very token, for work that already counts against it. `None`: not now.
pub(crate) async fn this_one(inc: &Incarnation, token: TokenId) -> Option<TokenLease> {
    let request = AcquireRequest { owner: inc.id, wanted: Wanted::Token(token), wait_up_to: Duration::ZERO };
    match tokio::time::timeout(CALL_LIMIT, inc.leases.acquire(request)).await {
        Ok(Ok(Acquired::Leases(leases))) => leases.into_iter().find(|lease| lease.token_id == token),
        Ok(Ok(Acquired::Dry { .. })) => None,
        Ok(Err(error)) => {
            tracing::warn!(%error, token_id = %token, "the pool did not hand out a token again");
            None
        }
        Err(_) => None,
    }
}

/// Runs `work` while a grant that the ledger does not name yet is kept alive.
pub(crate) async fn kept<T>(inc: &Incarnation, lease: Option<LeaseId>, work: impl Future<Output = T>) -> T {
    let Some(lease) = lease else { return work.await };
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(KEEP_EVERY) => {}
        }
        let renewal = tokio::time::timeout(CALL_LIMIT, inc.leases.renew(std::slice::from_ref(&lease)));
        tokio::select! {
            done = &mut work => return done,
            // The grant may be gone; the call goes on, for it is under way.
            _renewed = renewal => {}
        }
    }
}

/// Tokens that the upstream has just refused. The pool knows better, but leases that are in hand already were given before it did.
#[derive(Default)]
pub(crate) struct Refused(Mutex<HashMap<TokenId, Rest>>);

#[derive(Clone, Copy)]
struct Rest {
    until: Instant,
    /// Good for nothing at all, polls included (401, 403).
    revoked: bool,
}

impl Refused {
    pub(crate) fn note(&self, token: TokenId, outcome: LeaseOutcome) {
        let rest = match outcome {
            LeaseOutcome::Unauthorized | LeaseOutcome::OutOfCredit => REFUSED_FOR,
            LeaseOutcome::RateLimited { retry_after } => retry::clamp(retry_after).min(REFUSED_FOR),
            LeaseOutcome::Ok | LeaseOutcome::UpstreamError | LeaseOutcome::Abandoned => return,
        };
        let now = Instant::now();
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.retain(|_, rest| rest.until > now);
        if map.len() < SECRETS_MOST {
            map.insert(token, Rest { until: now + rest, revoked: outcome == LeaseOutcome::Unauthorized });
        }
    }

    fn rest_of(&self, token: TokenId) -> Option<Rest> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(&token).copied().filter(|rest| rest.until > Instant::now())
    }

    /// Not to be submitted with.
    pub(crate) fn contains(&self, token: TokenId) -> bool {
        self.rest_of(token).is_some()
    }

    /// Not to be called with at all.
    pub(crate) fn revoked(&self, token: TokenId) -> bool {
        self.rest_of(token).is_some_and(|rest| rest.revoked)
    }
}

/// Secrets by token, of renders that came without.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<HashMap<TokenId, (SecretString, Instant)>>);

impl Secrets {
    fn get(&self, token: TokenId) -> Option<SecretString> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(&token).filter(|(_, since)| since.elapsed() < SECRETS_FOR).map(|(secret, _)| secret.clone())
    }

    fn put(&self, token: TokenId, secret: SecretString) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.retain(|_, (_, since)| since.elapsed() < SECRETS_FOR);
        if map.len() < SECRETS_MOST {
            map.insert(token, (secret, Instant::now()));
        }
    }
}

/// The secret to ask about this one with. An adopted render has none: the pool is asked for its token. What the pool answers with may be
/// the lease of this very row or of another one of ours, so it is not given back; a grant beside them lapses by itself. `None` while the
/// pool cannot be asked.
pub(crate) async fn secret_of(inc: &Incarnation, held: Held, entry: &Entry) -> Option<SecretString> {
    if let Some(secret) = &entry.secret {
        return Some(secret.clone());
    }
    let token = entry.lease.token_id;
    let secret = match inc.secrets.get(token) {
        Some(secret) => secret,
        None => {
            let lease = this_one(inc, token).await?;
            inc.secrets.put(token, lease.secret.clone());
            lease.secret
        }
    };
    inc.hand.with(held, |entry| entry.secret = Some(secret.clone()));
    Some(secret)
}
