//! The proof over random histories: whatever customers and workers do in whatever order, every book adds up at each moment.

use crate::fixture::{Customer, Fixture, Worker, an_error, an_output};
use domain::lease::Held;
use domain::ports::generations::Submitted;
use domain::ports::work::Claimed;
use domain::state::Status;
use domain::tier::Tier;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

const STEPS: usize = 250;

pub async fn random_histories_add_up(at: &Fixture) {
    let seed: u64 = rand::random();
    #[expect(clippy::print_stdout, reason = "shown with the failure, so that the history can be told again")]
    let () = println!("the history of seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let customers = [at.customer_of(30).await, at.customer(Tier::Pro).await, at.customer_of(3).await];
    let mut ids = Vec::new();
    let mut workers = vec![at.worker().await, at.worker().await];
    let mut claimed: Vec<(usize, Claimed)> = Vec::new();
    for step in 0..STEPS {
        let customer = &customers[random.random_range(0..customers.len())];
        let worker = random.random_range(0..workers.len());
        match random.random_range(0..10) {
            0..=2 => {
                if let Submitted::Accepted(generation) = customer.try_submit(&customer.submission()).await {
                    ids.push((customer, generation.id));
                }
            }
            3..=4 => claimed.extend(workers[worker].claim(2).await.into_iter().map(|c| (worker, c))),
            5..=7 if !claimed.is_empty() => {
                let at_random = random.random_range(0..claimed.len());
                let (owner, work) = claimed.swap_remove(at_random);
                let owner = &workers[owner];
                match random.random_range(0..5) {
                    0 => drop(owner.try_rendering(&work).await),
                    1 => drop(owner.try_put_back(work.held, Duration::ZERO, true).await),
                    2 => drop(owner.try_settle(work.held, Err(an_error())).await),
                    _ => drop(owner.try_settle(work.held, Ok(an_output())).await),
                }
            }
            8 if !ids.is_empty() => {
                let (owner, id) = ids[random.random_range(0..ids.len())];
                owner.cancel(id).await;
            }
            9 => {
                workers[worker].vanish().await;
                workers.push(at.worker().await);
                workers[workers.len() - 1].step().await;
            }
            _ => drop(customer.top_up(1).await),
        }
        if step % 25 == 0 {
            at.assert_the_books_add_up().await;
        }
    }
    end_everything(at, &mut workers).await;
    for customer in &customers {
        assert_what_was_used_was_paid(at, customer, &ids).await;
    }
    at.assert_the_books_add_up().await;
}

/// A last worker takes over all that lives and ends it.
async fn end_everything<'a>(at: &'a Fixture, workers: &mut Vec<Worker<'a>>) {
    for worker in workers.iter() {
        worker.retire().await;
    }
    let last = at.worker().await;
    last.step().await;
    let mut held: Vec<Held> = last.adopt().await.iter().map(|adopted| adopted.held).collect();
    held.extend(last.claim(STEPS).await.iter().map(|claimed| claimed.held));
    for held in held {
        last.try_settle(held, Ok(an_output())).await;
        last.closed(held).await;
    }
    assert_eq!(last.held().await, []);
    workers.push(last);
}

async fn assert_what_was_used_was_paid(
    at: &Fixture,
    customer: &Customer<'_>,
    ids: &[(&Customer<'_>, domain::ids::GenerationId)],
) {
    let mut succeeded = 0;
    for (_, id) in ids.iter().filter(|(owner, _)| owner.id == customer.id) {
        let seen = at.seen(*id).await;
        assert!(seen.status.is_final(), "{seen:?}");
        succeeded += i64::from(seen.status == Status::Succeeded);
    }
    let (balance, reserved, used) = customer.credits().await;
    assert_eq!((reserved, used), (0, succeeded));
    let entries = customer.entries().await;
    if !entries.is_empty() {
        let untouched = entries.iter().all(|entry| entry.generation_id.is_none());
        let sum: i64 = entries.iter().map(|entry| entry.amount).sum();
        assert!(untouched || sum == balance, "{sum} is not {balance}");
    }
}

pub async fn verification_goes_by_pages(at: &Fixture) {
    for _ in 0..5 {
        at.customer(Tier::Free).await.submit().await;
    }
    let (mut after, mut counts) = (None, Vec::new());
    loop {
        let verified = at.accounts.verify(after, 2).await.unwrap();
        assert_eq!(verified.discrepancies, []);
        counts.push(verified.accounts);
        after = verified.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(counts.iter().sum::<u64>(), 5);
    assert!(counts.iter().all(|count| *count <= 2));
}
