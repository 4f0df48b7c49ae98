//! Claiming: tokens first, then as many of the fairest due generations. Nothing is ever put back for want of a token.
//!
//! A ring only wakes, and so does a tick about once a second. A claim that came back full is repeated as slots free, and rings one
//! neighbour; a short one sleeps. Never claimed: more than there are free slots, or than about a quarter of a second's starts.

use crate::breaker::Room;
use crate::incarnation::Incarnation;
use crate::trace::Claiming;
use crate::{submit, suspects};
use domain::lease::LeaseRef;
use domain::ports::StoreError;
use domain::token::{AcquireRequest, Acquired, LeaseOutcome, TokenLease, Wanted};
use opentelemetry::context::FutureExt;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How many a worker reaches for before it knows that there is more: an idle one borrows few tokens.
const APPETITE: usize = 4;
const CLAIM_MOST: usize = 256;
/// The pool's own waiting line, so that a token that frees is used at once.
const TOKEN_WAIT: Duration = Duration::from_secs(1);
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);
const CLAIM_LIMIT: Duration = Duration::from_secs(4);
/// Rather a small claim than a slot that idles longer.
const GATHER: Duration = Duration::from_millis(100);
const DRY_SHORTEST: Duration = Duration::from_millis(50);
/// Tokens may be imported or topped up at any time.
const DRY_LONGEST: Duration = Duration::from_secs(5);
const UNWELL: Duration = Duration::from_secs(1);
const RING_LIMIT: Duration = Duration::from_secs(5);
const NEIGHBOUR_PAUSE: Duration = Duration::from_millis(100);

enum Outcome {
    /// As many as there were tokens: there may be more.
    Full,
    Short,
    /// Not before this.
    Wait(Duration),
}

pub(crate) async fn run(inc: Arc<Incarnation>) {
    let work = async {
        let mut appetite = APPETITE;
        loop {
            inc.rung.notified().await;
            appetite = appetite.min(APPETITE);
            loop {
                gather(&inc, appetite > APPETITE).await;
                match once(&inc, appetite).await {
                    Outcome::Full => {
                        appetite = appetite.saturating_mul(4).min(CLAIM_MOST);
                        ring_neighbour(&inc);
                    }
                    Outcome::Short => break,
                    Outcome::Wait(pause) => {
                        tokio::time::sleep(pause).await;
                        appetite = APPETITE;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = inc.signals.draining.cancelled() => {}
        () = inc.signals.lost.cancelled() => {}
        () = work => {}
    }
}

fn room(inc: &Incarnation) -> usize {
    inc.slots.free().min(inc.pace.room())
}

/// Waits until there is room; in a flood until there is room worth a claim, but not for long.
async fn gather(inc: &Incarnation, flood: bool) {
    let worth = if flood { (inc.slots.total().min(inc.pace.waiting_most()) / 4).max(1) } else { 1 };
    let begun = Instant::now();
    loop {
        let freed = inc.freed.notified();
        let room = room(inc);
        let left = GATHER.saturating_sub(begun.elapsed());
        if room >= worth || (room > 0 && left.is_zero()) {
            return;
        }
        if left.is_zero() {
            freed.await;
        } else {
            let _either = tokio::time::timeout(left, freed).await;
        }
    }
}

async fn once(inc: &Arc<Incarnation>, appetite: usize) -> Outcome {
    let want = match inc.breaker.room(Instant::now()) {
        Room::Free => room(inc).min(appetite),
        Room::Probe => 1,
        Room::Shut(pause) => return Outcome::Wait(pause),
    };
    let ring = inc.ring.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut claiming = Claiming::begin(ring.as_deref());
    let leases = match acquire(inc, want).with_context(claiming.of_lease()).await {
        Ok(leases) => leases,
        Err(pause) => return Outcome::Wait(pause),
    };
    claiming.leased(leases.len());
    // From here to the hand-over nothing may be dropped halfway: a claim that nobody holds would wait for the next comparison.
    let claiming = inc.claims.spawn(claim(inc.clone(), leases, claiming));
    claiming.await.unwrap_or(Outcome::Wait(UNWELL))
}

async fn acquire(inc: &Incarnation, want: usize) -> Result<Vec<TokenLease>, Duration> {
    let request = AcquireRequest {
        owner: inc.id,
        wanted: Wanted::Count(u32::try_from(want).unwrap_or(1)),
        wait_up_to: TOKEN_WAIT,
    };
    let begun = Instant::now();
    let acquired = tokio::time::timeout(ACQUIRE_LIMIT, inc.leases.acquire(request)).await;
    inc.metrics.token_lease_wait.observe(begun.elapsed().as_secs_f64());
    let mut dry_until = inc.dry_until.lock().unwrap_or_else(PoisonError::into_inner);
    *dry_until = None;
    match acquired {
        Ok(Ok(Acquired::Leases(leases))) if !leases.is_empty() => Ok(leases),
        Ok(Ok(Acquired::Leases(_))) => Err(UNWELL),
        Ok(Ok(Acquired::Dry { earliest })) => {
            let pause = earliest.unwrap_or(DRY_LONGEST / 5).clamp(DRY_SHORTEST, DRY_LONGEST);
            *dry_until = Some(Instant::now() + earliest.unwrap_or(pause).max(pause));
            Err(pause)
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "no tokens from the pool; trying again");
            Err(UNWELL)
        }
        Err(_) => {
            tracing::warn!("the pool did not answer in time; trying again");
            Err(UNWELL)
        }
    }
}

async fn claim(inc: Arc<Incarnation>, leases: Vec<TokenLease>, claiming: Claiming) -> Outcome {
    let named: Vec<LeaseRef> =
        leases.iter().map(|lease| LeaseRef { lease_id: lease.lease_id, token_id: lease.token_id }).collect();
    let mut unused: HashMap<_, _> = leases.into_iter().map(|lease| (lease.lease_id, lease.secret)).collect();
    let mut outcome = Outcome::Wait(UNWELL);
    let mut in_doubt = false;
    match tokio::time::timeout(CLAIM_LIMIT, inc.backends.work.claim(inc.id, &named)).await {
        Ok(Ok(claimed)) => {
            outcome = if claimed.len() == named.len() { Outcome::Full } else { Outcome::Short };
            let sifted = suspects::one_at_a_time(&inc, claimed).await;
            in_doubt = !sifted.certain;
            for (claimed, suspect) in sifted.begun {
                inc.greatest_tag.fetch_max(claimed.tag.0, Ordering::Relaxed);
                let Some(secret) = unused.remove(&claimed.lease.lease_id) else {
                    // Under a lease that was not offered: it stays with the ledger, and the next comparison puts it back.
                    tracing::error!(generation_id = %claimed.held.id, "claimed under an unknown lease");
                    continue;
                };
                let trace = claiming.took(&claimed);
                submit::begin(&inc, claimed, secret, suspect, trace);
            }
        }
        Ok(Err(StoreError::InDoubt(reason))) => {
            in_doubt = true;
            inc.doubt.store(true, Ordering::Relaxed);
            tracing::warn!(reason, "a claim is in doubt; the next comparison finds what it took");
        }
        Ok(Err(error)) => tracing::warn!(%error, "the claim failed; trying again"),
        Err(_) => {
            in_doubt = true;
            inc.doubt.store(true, Ordering::Relaxed);
            tracing::warn!("the claim did not end in time; the next comparison finds what it took");
        }
    }
    // In doubt the ledger may name them: they end with their rows, or with their grants.
    if !in_doubt {
        for lease_id in unused.into_keys() {
            inc.release(lease_id, LeaseOutcome::Abandoned);
        }
    }
    outcome
}

/// One ring at a time, and not many: it only has to spread.
fn ring_neighbour(inc: &Arc<Incarnation>) {
    if inc.ringing_neighbour.swap(true, Ordering::Relaxed) {
        return;
    }
    let inc = inc.clone();
    inc.clone().background.spawn(async move {
        let ring = tokio::time::timeout(RING_LIMIT, inc.backends.doorbell.ring_workers(None)).await;
        let outcome = if matches!(ring, Ok(Ok(()))) { "sent" } else { "failed" };
        inc.metrics.rings.with_label_values(&["to_workers", outcome]).inc();
        tokio::select! {
            () = inc.signals.lost.cancelled() => {}
            () = tokio::time::sleep(NEIGHBOUR_PAUSE) => {}
        }
        inc.ringing_neighbour.store(false, Ordering::Relaxed);
    });
}
