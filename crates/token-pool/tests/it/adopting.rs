//! Adoption: the lease of a dead worker's render goes to whoever resumes it, and counts once.

use crate::world::{Replica, a_worker, any, dry, import, leases, ledger, of_token, release, seen};
use domain::lease::LeaseRef;
use domain::ports::TokenAdmin;
use domain::ports::work::Accepted;
use domain::token::{AcquireRequest, LeaseOutcome};
use secrecy::ExposeSecret;
use std::time::Duration;

#[tokio::test]
async fn an_adopter_gets_the_lease_of_a_full_or_a_cooling_token() {
    let ledger = ledger().await;
    // Readings far apart: the adopter's wish must bring one about.
    let replica = Replica::start(&ledger.at, |settings| settings.reconcile_interval = Duration::from_secs(600)).await;
    let pool = &*replica.client;
    let token = import(pool, 1, 2).await[0];
    ledger.at.customer_of(10).await.submit_many(2).await;

    let dying = ledger.at.worker().await;
    let held = leases(pool, any(dying.id, 2)).await;
    let references: Vec<_> =
        held.iter().map(|lease| LeaseRef { lease_id: lease.lease_id, token_id: lease.token_id }).collect();
    let claimed = ledger.at.work.claim(dying.id, &references).await.unwrap();
    let accepted: Vec<_> = claimed
        .iter()
        .map(|one| Accepted { held: one.held, upstream_id: one.held.id.to_string(), lease: one.lease })
        .collect();
    ledger.at.work.rendering(dying.id, &accepted).await.unwrap();

    // Another worker's word on the same token, just before the first one dies.
    dying.lapse().await;
    let heir = ledger.at.worker().await;
    heir.step_until(|stepped| stepped.died > 0).await;
    let adopted = ledger.at.work.adopt(heir.id, 10).await.unwrap();
    assert_eq!(adopted.len(), 2);

    let mut given = Vec::new();
    for one in &adopted {
        // The queue is served by the next reading of the ledger, however late that is.
        let request = AcquireRequest { wait_up_to: Duration::from_secs(10), ..of_token(heir.id, one.lease.token_id) };
        let lease = leases(pool, request).await.remove(0);
        assert_eq!(lease.secret.expose_secret(), "upstream-secret-00000");
        assert!(lease.fencing_token > held.iter().map(|old| old.fencing_token).max().unwrap());
        given.push(lease.lease_id);
    }
    given.sort();
    let mut named: Vec<_> = adopted.iter().map(|one| one.lease.lease_id).collect();
    named.sort();
    assert_eq!(given, named, "the very leases of the rows, each once");
    assert_eq!(seen(pool, token).await.leased, 2);
    assert_eq!(dry(pool, of_token(a_worker(), token)).await, Some(None), "a stranger gets none");

    let limited = LeaseOutcome::RateLimited { retry_after: Some(Duration::from_secs(60)) };
    release(pool, given[0], limited).await;
    assert_eq!(pool.stats().await.unwrap().cooling, 1);
    assert_eq!(leases(pool, of_token(heir.id, token)).await[0].lease_id, given[1], "a lost answer is answered again");
    replica.stop().await;
}
