//! Single reads, together: those that arrive while the ledger is being read share the next statement. No timer, no wait when idle.
//!
//! At most two batches are in flight. Whose a generation is, the caller compares; one that cannot be read costs its neighbours nothing.

use domain::generation::Generation;
use domain::ids::GenerationId;
use domain::ports::{Generations, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

const WAITING_MOST: usize = 4_096;
const BATCH_MOST: usize = 128;
const IN_FLIGHT: usize = 2;
const READ_WITHIN: Duration = Duration::from_secs(4);

type Answer = oneshot::Sender<Result<Option<Generation>, StoreError>>;

struct Asked {
    id: GenerationId,
    answer: Answer,
}

pub(crate) struct Reader {
    asked: mpsc::Sender<Asked>,
}

impl Reader {
    /// The reader and its task, which ends when the reader is dropped.
    pub(crate) fn start(generations: Arc<dyn Generations>, tasks: &TaskTracker) -> Self {
        let (asked, waiting) = mpsc::channel(WAITING_MOST);
        tasks.spawn(run(waiting, generations, tasks.clone()));
        Self { asked }
    }

    /// A generation as it is after this call began; `None` where there is none.
    ///
    /// # Errors
    /// The store's own; `Unavailable` also where too many wait to be read.
    pub(crate) async fn read(&self, id: GenerationId) -> Result<Option<Generation>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let full = |_| StoreError::Unavailable("too many wait to be read".into());
        self.asked.try_send(Asked { id, answer }).map_err(full)?;
        answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the read was given up".into())))
    }
}

async fn run(mut waiting: mpsc::Receiver<Asked>, generations: Arc<dyn Generations>, tasks: TaskTracker) {
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut gathered = Vec::with_capacity(BATCH_MOST);
    // The slot first: what arrives until it is free makes the batch.
    while let Ok(slot) = slots.clone().acquire_owned().await {
        if waiting.recv_many(&mut gathered, BATCH_MOST).await == 0 {
            return;
        }
        let mut batch: HashMap<_, Vec<Answer>> = HashMap::with_capacity(gathered.len());
        // Whoever has left meanwhile is not read for.
        for asked in gathered.drain(..).filter(|asked| !asked.answer.is_closed()) {
            batch.entry(asked.id).or_default().push(asked.answer);
        }
        if batch.is_empty() {
            continue;
        }
        let generations = generations.clone();
        tasks.spawn(async move {
            read(generations.as_ref(), batch).await;
            drop(slot);
        });
    }
}

async fn read(generations: &dyn Generations, mut batch: HashMap<GenerationId, Vec<Answer>>) {
    let ids: Vec<_> = batch.keys().copied().collect();
    match show(generations, &ids).await {
        Ok(found) => {
            for generation in found {
                answer(batch.remove(&generation.id), Ok(Some(generation)));
            }
            batch.into_values().for_each(|nobody| answer(Some(nobody), Ok(None)));
        }
        // One of them is damaged: each for itself.
        Err(StoreError::Corrupt(_)) if ids.len() > 1 => {
            for (id, answers) in batch {
                let alone = show(generations, &[id]).await;
                answer(Some(answers), alone.map(|mut found| found.pop()));
            }
        }
        Err(error) => batch.into_values().for_each(|answers| answer(Some(answers), Err(again(&error)))),
    }
}

async fn show(generations: &dyn Generations, ids: &[GenerationId]) -> Result<Vec<Generation>, StoreError> {
    let read = timeout(READ_WITHIN, generations.show_many(ids)).await;
    read.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".into())))
}

/// Everybody who asked for the same one; most often that is one.
fn answer(answers: Option<Vec<Answer>>, outcome: Result<Option<Generation>, StoreError>) {
    let mut answers = answers.unwrap_or_default();
    let Some(last) = answers.pop() else { return };
    for answer in answers {
        let _ = answer.send(outcome.as_ref().map(Clone::clone).map_err(again));
    }
    let _ = last.send(outcome);
}

fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(reason) => StoreError::Unavailable(reason.clone()),
        StoreError::InDoubt(reason) => StoreError::InDoubt(reason.clone()),
        StoreError::Corrupt(reason) => StoreError::Corrupt(reason.clone()),
    }
}
