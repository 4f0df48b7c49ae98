//! Submissions in: those that arrive while a commit is under way are committed together by the next. No wait when idle.
//!
//! An account's submissions go down one of two lanes, and a lane commits one batch at a time: two batches in flight never meet in an
//! account, and an account that somebody holds locked stops at most one of them. The lanes take turns as long as commits are quick: what a
//! statement costs for itself, large batches share. A batch that fails is split, so one bad item never fails a neighbour, nor one account that somebody
//! holds up another. A commit in doubt runs again with the same ids until the items' deadline; what surely changed nothing is refused
//! within about two seconds. After a commit the workers are rung, and nobody waits for that.

use crate::ringer::Ringer;
use domain::admission::Submission;
use domain::ids::AccountId;
use domain::ports::generations::Submitted;
use domain::ports::{Generations, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::TaskTracker;

const LANES: usize = 2;
/// In each lane.
const WAITING_MOST: usize = 2_048;
/// How long a lane leaves the other its turn: longer than most commits, so that it waits in vain for a slow one alone.
const TURN_LONGEST: Duration = Duration::from_millis(10);
const BATCH_MOST: usize = 128;
const BATCH_BYTES: usize = 1024 * 1024;
/// A submission is answered by then, one way or another.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);
/// One call of the store; its own time-outs are mostly shorter.
const COMMITTED_WITHIN: Duration = Duration::from_secs(3);
/// A store that takes nothing is asked no longer than this for a batch, and not at all for what waited so long already.
const PATIENCE: Duration = Duration::from_secs(1);
const DOUBT_PAUSE: Duration = Duration::from_millis(100);

/// Why a submission got no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many wait for their commit.
    Full,
    /// Nothing was changed.
    Unavailable,
    /// It may have been accepted.
    InDoubt,
    Broken,
}

struct Item {
    submission: Submission,
    bytes: usize,
    since: Instant,
    answer: oneshot::Sender<Result<Submitted, Refused>>,
}

pub(crate) struct Intake {
    lanes: [mpsc::Sender<Item>; LANES],
}

struct Batch {
    submissions: Vec<Submission>,
    answers: Vec<oneshot::Sender<Result<Submitted, Refused>>>,
    /// The last of its items' deadlines.
    deadline: Instant,
    in_doubt: bool,
}

impl Intake {
    /// The intake and the tasks that commit, one a lane; they end when the intake is dropped.
    pub(crate) fn start(generations: &Arc<dyn Generations>, ringer: &Arc<Ringer>, tasks: &TaskTracker) -> Self {
        // Whether the last call of the store said that it takes nothing.
        let unwell = Arc::new(AtomicBool::new(false));
        let turns = Arc::new(Semaphore::new(1));
        let lanes = std::array::from_fn(|_| {
            let (items, waiting) = mpsc::channel(WAITING_MOST);
            tasks.spawn(run(waiting, generations.clone(), ringer.clone(), unwell.clone(), turns.clone()));
            items
        });
        Self { lanes }
    }

    fn lane(&self, account: AccountId) -> &mpsc::Sender<Item> {
        // The last bits of an id are random.
        &self.lanes[usize::from(account.uuid().into_bytes()[15]) % LANES]
    }

    /// `bytes`: about how large the submission is.
    pub(crate) async fn submit(&self, submission: Submission, bytes: usize) -> Result<Submitted, Refused> {
        let since = Instant::now();
        let deadline = since + ANSWERED_WITHIN;
        let (answer, answered) = oneshot::channel();
        self.lane(submission.account_id)
            .try_send(Item { submission, bytes, since, answer })
            .map_err(|_| Refused::Full)?;
        // A little more than the batch itself has, so that its own answer comes first.
        match timeout_at(deadline + Duration::from_secs(1), answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(Refused::InDoubt),
        }
    }
}

async fn run(
    mut waiting: mpsc::Receiver<Item>,
    generations: Arc<dyn Generations>,
    ringer: Arc<Ringer>,
    unwell: Arc<AtomicBool>,
    turns: Arc<Semaphore>,
) {
    while let Some(first) = waiting.recv().await {
        // Held until the commit is over; what arrives until it is given makes the batch.
        let _turn = timeout(TURN_LONGEST, turns.acquire()).await;
        let mut bytes = first.bytes;
        let mut items = vec![first];
        while items.len() < BATCH_MOST && bytes < BATCH_BYTES {
            let Ok(item) = waiting.try_recv() else { break };
            bytes += item.bytes;
            items.push(item);
        }
        if unwell.load(Ordering::Relaxed) {
            let late: Vec<_> = items.extract_if(.., |item| item.since.elapsed() >= PATIENCE).collect();
            if !late.is_empty() {
                Batch::of(late).refuse(Refused::Unavailable);
            }
            if items.is_empty() {
                continue;
            }
        }
        commit(generations.as_ref(), &ringer, &unwell, Batch::of(items)).await;
    }
}

async fn commit(generations: &dyn Generations, ringer: &Ringer, unwell: &AtomicBool, batch: Batch) {
    let begun = Instant::now();
    let mut parts = vec![batch];
    while let Some(mut part) = parts.pop() {
        let late = if part.in_doubt { Instant::now() >= part.deadline } else { begun.elapsed() >= PATIENCE };
        if late {
            let refused = if part.in_doubt { Refused::InDoubt } else { Refused::Unavailable };
            part.refuse(refused);
            continue;
        }
        let called = timeout(COMMITTED_WITHIN, generations.submit(&part.submissions)).await;
        let failed = match called {
            Ok(Ok(outcomes)) if outcomes.len() == part.answers.len() => {
                unwell.store(false, Ordering::Relaxed);
                if let Some((count, trace)) = part.answer(outcomes) {
                    ringer.work(count, trace);
                }
                continue;
            }
            Ok(Ok(_)) => StoreError::Corrupt("not one outcome an item".into()),
            Ok(Err(error)) => error,
            Err(_) => StoreError::InDoubt("no answer in time".into()),
        };
        tracing::warn!(error = %failed, items = part.answers.len(), "a batch was not committed");
        part.in_doubt |= matches!(failed, StoreError::InDoubt(_));
        unwell.store(!matches!(failed, StoreError::Corrupt(_)), Ordering::Relaxed);
        match failed {
            _ if part.in_doubt => {
                sleep(DOUBT_PAUSE).await;
                parts.push(part);
            }
            // One of its accounts may be held up: each for itself. Where it is the store, the others are refused when patience ends.
            StoreError::Unavailable(_) | StoreError::InDoubt(_) => match part.by_account() {
                Ok(lanes) => parts.extend(lanes),
                Err(lane) => lane.refuse(Refused::Unavailable),
            },
            StoreError::Corrupt(_) if part.answers.len() > 1 => {
                let rest = part.split();
                parts.push(rest);
                parts.push(part);
            }
            StoreError::Corrupt(_) => part.refuse(Refused::Broken),
        }
    }
}

impl Batch {
    fn of(items: Vec<Item>) -> Self {
        let last = items.iter().map(|item| item.since).max().unwrap_or_else(Instant::now);
        let deadline = last + ANSWERED_WITHIN;
        let (submissions, answers) = items.into_iter().map(|item| (item.submission, item.answer)).unzip();
        Self { submissions, answers, deadline, in_doubt: false }
    }

    /// A part for each account; itself where there is but one.
    fn by_account(self) -> Result<Vec<Self>, Self> {
        let account = self.submissions.first().map(|item| item.account_id);
        if self.submissions.iter().all(|item| Some(item.account_id) == account) {
            return Err(self);
        }
        let (deadline, in_doubt) = (self.deadline, self.in_doubt);
        let mut lanes: BTreeMap<_, Self> = BTreeMap::new();
        for (submission, answer) in self.submissions.into_iter().zip(self.answers) {
            let empty = || Self { submissions: Vec::new(), answers: Vec::new(), deadline, in_doubt };
            let lane = lanes.entry(submission.account_id).or_insert_with(empty);
            lane.submissions.push(submission);
            lane.answers.push(answer);
        }
        Ok(lanes.into_values().collect())
    }

    /// Keeps the first half.
    fn split(&mut self) -> Self {
        let half = self.answers.len() / 2;
        Self {
            submissions: self.submissions.split_off(half),
            answers: self.answers.split_off(half),
            deadline: self.deadline,
            in_doubt: self.in_doubt,
        }
    }

    /// How many were accepted, and the trace of the first; `None` where none was. An answer that nobody waits for any more is dropped: what it
    /// says is in the ledger.
    fn answer(mut self, outcomes: Vec<Submitted>) -> Option<(usize, Option<String>)> {
        let is_accepted = |outcome: &Submitted| matches!(outcome, Submitted::Accepted(_));
        let count = outcomes.iter().filter(|outcome| is_accepted(outcome)).count();
        let first = outcomes.iter().position(is_accepted);
        let accepted = first.and_then(|place| self.submissions.get_mut(place)).map(|item| (count, item.trace.take()));
        for (answer, outcome) in self.answers.into_iter().zip(outcomes) {
            let _ = answer.send(Ok(outcome));
        }
        accepted
    }

    fn refuse(self, refused: Refused) {
        for answer in self.answers {
            let _ = answer.send(Err(refused));
        }
    }
}
