//! Why a generation waits, and what an operator can do about it: what the customer is told, with what only operators can see.

use super::words::{count, span};
use domain::Timestamp;
use domain::generation::Generation;
use domain::ports::generations::{Attempt, PLACES_COUNTED, Place, QueueStats};
use domain::ports::work::WorkerView;
use domain::state::{Status, WaitingOn};
use domain::token::PoolStats;

/// All that is known about it; what could not be loaded is absent.
pub(super) struct Known<'a> {
    pub(super) generation: &'a Generation,
    pub(super) place: Option<&'a Place>,
    pub(super) queue: Option<&'a QueueStats>,
    pub(super) pool: Option<&'a PoolStats>,
    pub(super) workers: Option<&'a [WorkerView]>,
    pub(super) attempts: &'a [Attempt],
    pub(super) now: Timestamp,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) because: String,
    pub(super) todo: String,
    /// Where in the console that is done.
    pub(super) page: Option<(&'static str, &'static str)>,
}

const OVERVIEW: Option<(&str, &str)> = Some(("Overview", "/console"));
const TOKENS: Option<(&str, &str)> = Some(("Tokens", "/console/tokens"));
const SCALING: Option<(&str, &str)> = Some(("Scaling", "/console/scaling"));

fn why(because: String, todo: impl Into<String>, page: Option<(&'static str, &'static str)>) -> Option<Why> {
    Some(Why { because, todo: todo.into(), page })
}

/// `None`: it does not wait.
pub(super) fn explain(known: &Known<'_>) -> Option<Why> {
    let generation = known.generation;
    if generation.status != Status::Queued {
        return None;
    }
    // What holds up everything goes before what its record says.
    if known.queue.is_some_and(|queue| queue.paused) || generation.waiting_on == Some(WaitingOn::Paused) {
        return why("The queue is paused: nothing is claimed.".into(), "Resume it when the reason is gone.", OVERVIEW);
    }
    let taking = known.workers.map(|workers| workers.iter().filter(|worker| !worker.draining).collect::<Vec<_>>());
    if taking.as_ref().is_some_and(Vec::is_empty) {
        return why(
            "No worker is alive that takes work.".into(),
            "Start a worker, with the same settings as the gateway.",
            OVERVIEW,
        );
    }
    if generation.waiting_on == Some(WaitingOn::RetryBackoff) {
        return backoff(known);
    }
    let usable = known.pool.map(|pool| pool.usable);
    if usable == Some(0) || generation.waiting_on == Some(WaitingOn::UpstreamTokens) {
        return tokens(known.pool);
    }
    let ahead = known.place.map_or(0, |place| place.ahead);
    let busy = taking.as_ref().is_some_and(|workers| workers.iter().all(|worker| worker.active >= worker.slots));
    if busy {
        let slots = taking.iter().flatten().map(|worker| u64::from(worker.slots)).sum::<u64>();
        let because = format!("All {} slots of the workers are taken{}.", count(slots), before(ahead));
        return why(because, "Add a worker replica; it starts to help within a second.", SCALING);
    }
    if ahead > 0 {
        let because = format!("Its turn has not come{}.", before(ahead));
        let todo = "The fairest goes first: accounts with less under way, then the oldest. A greater share for its account, or more workers, brings it forward.";
        return why(because, todo, SCALING);
    }
    why(
        "It is next: a worker takes it within a second or two.".into(),
        "Nothing. If this stays so, look at the workers' logs.",
        OVERVIEW,
    )
}

fn before(ahead: u64) -> String {
    match ahead {
        0 => String::new(),
        1 => ", and 1 goes before it".to_owned(),
        many if many >= PLACES_COUNTED => format!(", and {} or more go before it", count(many)),
        many => format!(", and {} go before it", count(many)),
    }
}

fn backoff(known: &Known<'_>) -> Option<Why> {
    let failed = known.attempts.iter().rev().find_map(|attempt| attempt.error.as_deref());
    let because =
        format!("An attempt failed: {}.", failed.unwrap_or("the attempts below say why").trim_end_matches('.'));
    let due = known
        .place
        .and_then(|place| place.due_at)
        .map(|at| (at - known.now).as_seconds_f64())
        .filter(|wait| *wait > 0.0);
    let todo = match due {
        Some(wait) => {
            format!("The next one starts in {}. If others fail for the same reason, look at the upstream.", span(wait))
        }
        None => "The next one is due. If others fail for the same reason, look at the upstream.".to_owned(),
    };
    why(because, todo, Some(("What failed lately", "/console/generations?status=failed&age=hour")))
}

fn tokens(pool: Option<&PoolStats>) -> Option<Why> {
    let Some(pool) = pool else {
        return why("No upstream token was free.".into(), "Look at the tokens.", TOKENS);
    };
    let aside = pool.cooling + pool.quarantined + pool.exhausted + pool.disabled;
    if pool.usable == 0 && aside == 0 {
        return why("The pool has no upstream token.".into(), "Import some.", TOKENS);
    }
    if pool.usable == 0 {
        let because = format!(
            "No upstream token is usable: {} cooling, {} quarantined, {} exhausted, {} disabled.",
            pool.cooling, pool.quarantined, pool.exhausted, pool.disabled
        );
        return why(
            because,
            "Cooling ones return by themselves. Reinstate the others when their reason is gone, or import more.",
            TOKENS,
        );
    }
    let because =
        format!("Every usable token is leased: {} leases on {} tokens.", count(pool.leased), count(pool.usable));
    why(
        because,
        "Import more tokens, or allow more leases a token if the upstream does. Each render that ends frees one.",
        TOKENS,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{AccountId, GenerationId, WorkerId};
    use domain::request::{Draft, GenerationRequest};
    use domain::state::Stage;
    use domain::tier::Tier;
    use uuid::Uuid;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    fn waiting(on: WaitingOn) -> Generation {
        let request = GenerationRequest::parse(Draft { prompt: Some("rain".into()), ..Draft::default() }).unwrap();
        Generation {
            id: GenerationId::from_uuid(Uuid::max()),
            account_id: AccountId::from_uuid(Uuid::nil()),
            tier: Tier::Pro,
            request,
            status: Status::Queued,
            stage: Some(Stage::Backlog),
            waiting_on: Some(on),
            attempts: 0,
            cost: 1,
            output: None,
            error: None,
            created_at: at(0),
            started_at: None,
            rendering_at: None,
            finished_at: None,
            cancel_after: at(3_600),
            version: 1,
            started_version: None,
            rendering_version: None,
            retry_of: None,
            trace_id: None,
        }
    }

    fn worker(active: u32, draining: bool) -> WorkerView {
        WorkerView {
            id: WorkerId::from_uuid(Uuid::nil()),
            name: "w".into(),
            version: "1".into(),
            slots: 5,
            active,
            rendering: 0,
            draining,
            cpu: None,
            started_at: at(0),
            renewed_at: at(0),
        }
    }

    #[test]
    fn the_cause_that_holds_is_named_with_its_cure() {
        let pool = PoolStats { min: 1, max: 9, usable: 3, leased: 30, ..PoolStats::default() };
        let told = |on, workers: &[WorkerView], pool: &PoolStats, ahead, paused| {
            let generation = waiting(on);
            let place = Place { ahead_in_account: 0, ahead, due_at: Some(at(30)) };
            let queue = QueueStats { paused, ..QueueStats::default() };
            let known = Known {
                generation: &generation,
                place: Some(&place),
                queue: Some(&queue),
                pool: Some(pool),
                workers: Some(workers),
                attempts: &[],
                now: at(10),
            };
            explain(&known).unwrap()
        };
        let free = [worker(1, false)];
        let begins = |why: &Why, words: &str| assert!(why.because.starts_with(words), "{why:?}");
        begins(&told(WaitingOn::Capacity, &free, &pool, 0, true), "The queue is paused");
        begins(&told(WaitingOn::Capacity, &[], &pool, 0, false), "No worker is alive");
        begins(&told(WaitingOn::Capacity, &[worker(0, true)], &pool, 0, false), "No worker is alive");
        begins(
            &told(WaitingOn::Capacity, &[worker(5, false)], &pool, 7, false),
            "All 5 slots of the workers are taken, and 7 go before it",
        );
        begins(&told(WaitingOn::Capacity, &free, &pool, 1, false), "Its turn has not come, and 1 goes");
        begins(&told(WaitingOn::Capacity, &free, &pool, 0, false), "It is next");
        begins(
            &told(WaitingOn::UpstreamTokens, &free, &pool, 0, false),
            "Every usable token is leased: 30 leases on 3",
        );
        begins(&told(WaitingOn::Capacity, &free, &PoolStats::default(), 0, false), "The pool has no upstream token");
        begins(
            &told(WaitingOn::Capacity, &free, &PoolStats { exhausted: 2, ..PoolStats::default() }, 0, false),
            "No upstream token is usable: 0 cooling",
        );
        let backoff = told(WaitingOn::RetryBackoff, &free, &pool, 0, false);
        assert!(backoff.because.starts_with("An attempt failed") && backoff.todo.contains("in 20 s"), "{backoff:?}");
    }
}
