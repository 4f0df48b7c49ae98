//! News of generations for those who wait for it: event streams and held requests.
//!
//! One listener at the doorbell for the whole gateway. Whoever waits registers first and reads then, so nothing falls between. A lost ring
//! costs three seconds: then the versions of everything that is watched are read again, in one statement for up to 500. A watcher
//! holds a channel and no store connection; it sees the newest state, not each one.

use crate::metrics::Metrics;
use domain::event::Change;
use domain::generation::Generation;
use domain::ids::GenerationId;
use domain::ports::doorbell::Heard;
use domain::ports::{Doorbell, Generations};
use futures::StreamExt;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

const REREAD_EVERY: Duration = Duration::from_secs(3);
const READ_MOST: usize = 500;
const READ_WITHIN: Duration = Duration::from_secs(3);

/// What is known of a generation here.
#[derive(Debug, Clone, Default)]
pub(crate) struct News {
    pub(crate) generation: Option<Arc<Generation>>,
    /// 0 to 1, as last rung; never stored.
    pub(crate) progress: Option<f32>,
}

pub(crate) struct Hub {
    watched: Mutex<HashMap<GenerationId, watch::Sender<News>>>,
    generations: Arc<dyn Generations>,
    metrics: Arc<Metrics>,
}

/// A registration; it ends when it is dropped.
pub(crate) struct Watching {
    id: GenerationId,
    pub(crate) news: watch::Receiver<News>,
    hub: Arc<Hub>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watched = self.hub.lock();
        if watched.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            watched.remove(&self.id);
        }
        drop(watched);
        self.hub.metrics.streams.dec();
    }
}

impl Hub {
    pub(crate) fn new(generations: Arc<dyn Generations>, metrics: Arc<Metrics>) -> Self {
        Self { watched: Mutex::default(), generations, metrics }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<GenerationId, watch::Sender<News>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Register, then read.
    pub(crate) fn watch(self: &Arc<Self>, id: GenerationId) -> Watching {
        let news = self.lock().entry(id).or_insert_with(|| watch::Sender::new(News::default())).subscribe();
        self.metrics.streams.inc();
        Watching { id, news, hub: self.clone() }
    }

    /// Listens and re-reads until it is told to stop.
    pub(crate) async fn run(self: Arc<Self>, doorbell: Arc<dyn Doorbell>, stop: CancellationToken) {
        let mut rings = doorbell.changes();
        let mut tick = interval(REREAD_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stale: Vec<GenerationId> = tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => self.all(),
                heard = rings.next() => match heard {
                    Some(Heard::Rang(changes)) => {
                        self.metrics.rang("heard", "rang");
                        self.note(&changes)
                    }
                    Some(Heard::Missed) => {
                        self.metrics.rang("heard", "missed");
                        self.all()
                    }
                    // A doorbell that ended leaves the re-reads.
                    None => {
                        tick.tick().await;
                        self.all()
                    }
                },
            };
            for ids in stale.chunks(READ_MOST) {
                self.read(ids).await;
            }
        }
    }

    fn all(&self) -> Vec<GenerationId> {
        self.lock().keys().copied().collect()
    }

    /// Passes progress on, and answers which watched generations have a newer version than the one known here.
    fn note(&self, changes: &[Change]) -> Vec<GenerationId> {
        let watched = self.lock();
        let mut stale = HashSet::new();
        for change in changes {
            let Some(sender) = watched.get(&change.id) else { continue };
            if sender.borrow().generation.as_ref().is_none_or(|known| known.version < change.version) {
                stale.insert(change.id);
            }
            if change.progress.is_some() {
                sender.send_modify(|news| news.progress = change.progress);
            }
        }
        stale.into_iter().collect()
    }

    async fn read(&self, ids: &[GenerationId]) {
        match timeout(READ_WITHIN, self.generations.show_many(ids)).await {
            Ok(Ok(found)) => {
                let watched = self.lock();
                for generation in found {
                    if let Some(sender) = watched.get(&generation.id) {
                        sender.send_if_modified(|news| replace(news, generation));
                    }
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "watched generations could not be read"),
            Err(_) => tracing::warn!("watched generations were not read in time"),
        }
    }
}

/// Only forwards: an older read never overtakes a newer one.
fn replace(news: &mut News, generation: Generation) -> bool {
    let newer = news.generation.as_ref().is_none_or(|known| known.version < generation.version);
    if newer {
        news.generation = Some(Arc::new(generation));
    }
    newer
}

impl Watching {
    pub(crate) const fn id(&self) -> GenerationId {
        self.id
    }

    /// Waits until the generation has ended, or until `deadline`, or until `stop`; answers the newest state known.
    pub(crate) async fn until_final(
        &mut self,
        read: Generation,
        deadline: Instant,
        stop: &CancellationToken,
    ) -> Arc<Generation> {
        let mut newest = Arc::new(read);
        while !newest.status.is_final() {
            let known = self.news.borrow_and_update().generation.clone();
            if let Some(generation) = known.filter(|known| known.version > newest.version) {
                newest = generation;
                continue;
            }
            let changed = tokio::select! {
                changed = timeout_at(deadline, self.news.changed()) => matches!(changed, Ok(Ok(()))),
                () = stop.cancelled() => false,
            };
            if !changed {
                break;
            }
        }
        newest
    }
}
