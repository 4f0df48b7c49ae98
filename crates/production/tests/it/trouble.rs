//! What holds when PostgreSQL breaks in the middle, is held up, or is asked by two processes at once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::database::Database;
use crate::ledger::ports;
use conformance::fixture::{an_error, an_output};
use domain::account::Overrides;
use domain::admission::Submission;
use domain::ids::GenerationId;
use domain::lease::{Fence, Held};
use domain::ports::accounts::AccountChange;
use domain::ports::generations::{Backlog, Canceled, Submitted};
use domain::ports::operators::{Acted, ChangeKey, Order};
use domain::ports::work::{Renewal, Settlement};
use domain::ports::{Generations, StoreError, Work};
use domain::tier::Tier;
use futures::future::join_all;
use sqlx::{Executor, PgConnection};
use std::collections::BTreeSet;
use std::time::Duration;

/// Ends all connections to the database but this one.
async fn terminate(beside: &mut PgConnection) {
    beside
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
        )
        .await
        .unwrap();
}

/// Until somebody waits for a lock: the moment at which a call is in its middle.
async fn somebody_waits(beside: &mut PgConnection) {
    loop {
        let waits: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')",
        )
        .fetch_one(&mut *beside)
        .await
        .unwrap();
        if waits {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Ends whoever waits for a lock, in the statement that sees it wait: however late this is asked, it has not given up before.
async fn terminate_who_waits(beside: &mut PgConnection) {
    loop {
        let ended: i64 = sqlx::query_scalar(
            "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(&mut *beside)
        .await
        .unwrap();
        if ended > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_batch_that_lost_its_backends_is_accepted_and_charged_once_in_the_end() {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let at = ports(&ledger);
    let customer = at.customer_of(1_000).await;
    let mut beside = database.connection().await;
    for _ in 0..30 {
        let batch: Vec<Submission> = (0..10).map(|_| customer.submission()).collect();
        let submitting = async {
            // As a gateway does: the same batch with the same ids, until it is answered.
            loop {
                match ledger.submit(&batch).await {
                    Ok(outcomes) => break outcomes,
                    Err(StoreError::Unavailable(_) | StoreError::InDoubt(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let killing = async {
            tokio::time::sleep(Duration::from_micros(rand::random_range(0..6_000))).await;
            terminate(&mut beside).await;
        };
        let (outcomes, ()) = tokio::join!(submitting, killing);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Submitted::Accepted(_))));
    }
    assert_eq!(customer.credits().await, (700, 300, 300));
    at.assert_the_books_add_up().await;
    ledger.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_backend_that_dies_while_it_writes_leaves_a_batch_in_doubt_that_is_charged_once() {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let at = ports(&ledger);
    let customer = at.customer(Tier::Pro).await;
    let (mut holder, mut beside) = (database.connection().await, database.connection().await);
    holder.execute("begin; select from accounts for update").await.unwrap();
    let batch = [customer.submission()];
    let submitting = ledger.submit(&batch);
    let breaking = terminate_who_waits(&mut beside);
    let (outcomes, ()) = tokio::join!(submitting, breaking);
    assert!(matches!(outcomes, Err(StoreError::InDoubt(_))), "{outcomes:?}");
    holder.execute("rollback").await.unwrap();
    // As a gateway does: the same batch with the same ids.
    let outcomes = ledger.submit(&batch).await.unwrap();
    assert!(matches!(outcomes[..], [Submitted::Accepted(_)]));
    assert_eq!(customer.credits().await, (49, 1, 1));
    at.assert_the_books_add_up().await;
    ledger.close().await;
    database.drop().await;
}

/// Each decides by what it read, and whoever writes second finds that it was not true any more.
#[tokio::test]
async fn two_gateways_that_accept_for_the_same_accounts_spend_each_credit_once() {
    const BALANCE: u32 = 150;
    let database = Database::fresh().await;
    let ledgers = [database.ledger().await, database.ledger().await];
    let (one, two) = (ports(&ledgers[0]), ports(&ledgers[1]));
    let customers = [one.customer_of(BALANCE.into()).await, one.customer_of(BALANCE.into()).await];
    let submit_all = async |ledger: &production::Ledger, lane: u32| {
        let mut accepted = 0;
        for round in 0..30 {
            // Six of each; every third key is used by all lanes of both gateways.
            let key =
                |n: u32| if n.is_multiple_of(3) { format!("all {round} {n}") } else { format!("{lane} {round} {n}") };
            let batch: Vec<_> = (0..12).map(|n| customers[n as usize % 2].submission_with_key(&key(n), 1)).collect();
            // As a gateway does: what surely changed nothing is asked for again.
            let outcomes = loop {
                match ledger.submit(&batch).await {
                    Err(StoreError::Unavailable(_)) => {}
                    answered => break answered.unwrap(),
                }
            };
            accepted += outcomes.iter().filter(|outcome| matches!(outcome, Submitted::Accepted(_))).count();
            assert!(outcomes.iter().all(|outcome| matches!(
                outcome,
                Submitted::Accepted(_) | Submitted::Replayed(_) | Submitted::CreditsExhausted
            )));
        }
        accepted
    };
    let lanes = (0..4).map(|lane| submit_all(&ledgers[lane as usize % 2], lane));
    let accepted: usize = join_all(lanes).await.into_iter().sum();
    assert_eq!(accepted, 2 * BALANCE as usize);
    for customer in &customers {
        assert_eq!(customer.credits().await, (0, BALANCE.into(), BALANCE.into()));
    }
    two.assert_the_books_add_up().await;
    for ledger in &ledgers {
        ledger.close().await;
    }
    database.drop().await;
}

#[tokio::test]
async fn a_statement_that_commits_by_itself_is_in_doubt_when_its_backend_dies() {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let at = ports(&ledger);
    let customer = at.customer(Tier::Pro).await;
    customer.submit().await;
    let worker = at.worker().await;
    let claimed = worker.claim_one().await;
    let (mut holder, mut beside) = (database.connection().await, database.connection().await);
    holder.execute("begin; select from work for update").await.unwrap();
    let settlement = Settlement { held: claimed.held, outcome: Ok(an_output()), upstream_id: Some("up".to_owned()) };
    let batch = [settlement];
    let settling = ledger.settle(worker.id, &batch);
    let breaking = terminate_who_waits(&mut beside);
    let (settled, ()) = tokio::join!(settling, breaking);
    assert!(matches!(settled, Err(StoreError::InDoubt(_))), "{settled:?}");
    holder.execute("rollback").await.unwrap();
    // Asked again, it tells what is true: it was not settled, so now it is.
    worker.succeed(claimed.held).await;
    at.assert_the_books_add_up().await;
    ledger.close().await;
    database.drop().await;
}

#[tokio::test]
async fn one_account_that_is_held_up_holds_up_no_neighbour() {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let at = ports(&ledger);
    let (held_up, free) = (at.customer(Tier::Pro).await, at.customer(Tier::Pro).await);
    let mut holder = database.connection().await;
    sqlx::query("begin").execute(&mut holder).await.unwrap();
    sqlx::query("select from accounts where id = $1 for update")
        .bind(held_up.id.uuid())
        .execute(&mut holder)
        .await
        .unwrap();
    let batch = [free.submission(), held_up.submission(), free.submission(), free.submission()];
    // The batch has one answer, soon, and has changed nothing: its parts are asked for again.
    let refused = ledger.submit(&batch).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert_eq!(free.credits().await, (50, 0, 0));
    for part in [&batch[..1], &batch[2..]] {
        let outcomes = ledger.submit(part).await.unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Submitted::Accepted(_))));
    }
    assert_eq!(free.credits().await, (47, 3, 3));
    let alone = ledger.submit(&batch[1..2]).await.unwrap_err();
    assert!(matches!(alone, StoreError::Unavailable(_)), "{alone}");
    holder.execute("rollback").await.unwrap();
    let outcomes = ledger.submit(&batch).await.unwrap();
    let ids: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Submitted::Accepted(generation) => generation.id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, batch.iter().map(|item| item.id).collect::<Vec<_>>());
    at.assert_the_books_add_up().await;
    drop(holder);
    ledger.close().await;
    database.drop().await;
}

#[tokio::test]
async fn two_processes_claim_a_thousand_generations_each_once() {
    let database = Database::fresh().await;
    let ledgers = [database.ledger().await, database.ledger().await];
    let (one, two) = (ports(&ledgers[0]), ports(&ledgers[1]));
    let customer = one.customer_of(1_000).await;
    let mut expected = BTreeSet::new();
    for _ in 0..10 {
        expected.extend(customer.submit_many(100).await);
    }
    let mut workers = Vec::new();
    for at in [&one, &two, &one, &two] {
        workers.push(at.worker().await);
    }
    let claim_all = async |worker: &conformance::Worker<'_>| {
        let mut mine: Vec<GenerationId> = Vec::new();
        loop {
            let claimed = worker.claim(7).await;
            if claimed.is_empty() {
                return mine;
            }
            mine.extend(claimed.iter().map(|claimed| claimed.held.id));
        }
    };
    let mut all = join_all(workers.iter().map(claim_all)).await.concat();
    all.extend(claim_all(&workers[0]).await);
    assert_eq!(all.len(), 1_000);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), expected);
    for ledger in &ledgers {
        ledger.close().await;
    }
    database.drop().await;
}

#[tokio::test]
async fn failures_of_one_account_settled_by_many_at_once_are_each_refunded() {
    let database = Database::fresh().await;
    let ledgers = [database.ledger().await, database.ledger().await];
    let (one, two) = (ports(&ledgers[0]), ports(&ledgers[1]));
    let (a, b) = (one.customer_of(100).await, one.customer_of(100).await);
    let batch: Vec<_> = (0..60).map(|n| if n % 2 == 0 { a.submission() } else { b.submission() }).collect();
    ledgers[0].submit(&batch).await.unwrap();
    let worker = one.worker().await;
    let claimed = worker.claim(60).await;
    // Batches in every order, over both processes, with submissions of the same accounts in between.
    let settlement = |held| Settlement { held, outcome: Err(an_error()), upstream_id: None };
    let settlements: Vec<_> = (0..6usize)
        .map(|part| {
            let mut part: Vec<_> = claimed.iter().skip(part).step_by(6).map(|c| settlement(c.held)).collect();
            part.reverse();
            part
        })
        .collect();
    let settling = settlements.iter().enumerate().map(|(n, part)| ledgers[n % 2].settle(worker.id, part));
    let submitting = (0..10).map(|_| a.submit());
    let (settled, submitted) = tokio::join!(join_all(settling), join_all(submitting));
    assert!(settled.iter().all(Result::is_ok), "{settled:?}");
    assert_eq!(submitted.len(), 10);
    assert_eq!((a.credits().await, b.credits().await), ((90, 10, 10), (100, 0, 0)));
    two.assert_the_books_add_up().await;
    for ledger in &ledgers {
        ledger.close().await;
    }
    database.drop().await;
}

/// The cancel's statement has begun before the claim commits, and gets the row after it: it must not mistake the one for the other.
#[tokio::test]
async fn a_cancel_that_a_claim_overtakes_closes_what_was_claimed() {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let at = ports(&ledger);
    let customer = at.customer_of(10).await;
    let worker = at.worker().await;
    let id = customer.submit().await;
    let mut beside = database.connection().await;
    beside.execute("begin").await.unwrap();
    let claimed = "update work set state = 'submitting', owner = $1, lease_id = $2, token_id = $3, fence = fence + 1, attempts = attempts + 1, \
                   version = version + 1, claimed_at = now(), started_at = now(), started_version = version + 1";
    let lease = at.a_lease();
    let claim = sqlx::query(claimed).bind(worker.id.uuid()).bind(lease.lease_id.uuid()).bind(lease.token_id.uuid());
    claim.execute(&mut beside).await.unwrap();
    let mut watching = database.connection().await;
    let (canceled, ()) = tokio::join!(customer.cancel(id), async {
        somebody_waits(&mut watching).await;
        beside.execute("commit").await.unwrap();
    });
    assert!(matches!(canceled, Canceled::Canceled { tell_workers: true, .. }), "{canceled:?}");
    assert_eq!((customer.credits().await, at.seen(id).await.version), ((10, 0, 0), 3));
    let held = Held { id, fence: Fence(1) };
    assert_eq!(worker.renew().await, Renewal::Renewed { drain: false, closing: vec![held] });
    at.assert_the_books_add_up().await;
    drop((beside, watching));
    ledger.close().await;
    database.drop().await;
}

/// The account is changed in one transaction, its waiting work in others: who asks again with the key has these made up for.
#[tokio::test]
async fn a_change_of_share_that_died_half_way_is_carried_out_when_it_is_asked_for_again() {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let at = ports(&ledger);
    let customer = at.customer_of(10).await;
    customer.submit_many(3).await;
    let overrides = Overrides { share: Some(7), ..Overrides::default() };
    let change = AccountChange { overrides: Some(overrides), ..AccountChange::default() };
    let order = Order::ChangeAccount(customer.id, change);
    let key = Some(ChangeKey { hash: [7; 32], fingerprint: [7; 32] });
    at.ordered_with(order.clone(), key, b"changed").await;
    let mut beside = database.connection().await;
    beside.execute("update work set share = 1").await.unwrap();
    let again = at.ordered_with(order, key, b"changed").await;
    assert!(matches!(&again, Acted::Earlier(earlier) if earlier.answer == b"changed"), "{again:?}");
    let shares: Vec<i32> = sqlx::query_scalar("select share from work").fetch_all(&mut beside).await.unwrap();
    assert_eq!(shares, [7, 7, 7]);
    drop(beside);
    ledger.close().await;
    database.drop().await;
}

/// Beyond a few the whole backlog is counted by one at a time: the others wait for it, and none goes without.
#[tokio::test]
async fn a_long_backlog_is_told_to_all_who_ask_at_once() {
    let database = Database::fresh().await;
    let ledger = database.ledger().await;
    let at = ports(&ledger);
    let customer = at.customer_of(1_000).await;
    customer.submit_many(300).await;
    let told = join_all((0..40).map(|_| ledger.backlog(customer.id))).await;
    for backlog in told {
        assert_eq!(backlog.unwrap(), Backlog { account: 300, total: 300 });
    }
    ledger.close().await;
    database.drop().await;
}
