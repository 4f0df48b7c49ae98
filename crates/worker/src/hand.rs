//! What this worker holds, by generation: a mirror of its rows in the ledger, and the only place where two of its tasks meet.
//!
//! A task that wants to end something first takes it into a phase of its own; whoever comes second finds it taken and does nothing. One
//! entry is a few hundred bytes, so that tens of thousands may render.

use domain::ids::{AccountId, GenerationId, TokenId};
use domain::lease::{Fence, Held, LeaseRef};
use domain::tier::Tier;
use opentelemetry::trace::SpanContext;
use secrecy::SecretString;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Claimed; its submission waits, or is under way.
    Submitting,
    /// The upstream has it; the ledger is being told.
    Accepted,
    Rendering,
    /// Its last write is under way.
    Ending,
    /// Canceled: the upstream is to be told.
    Closing,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) fence: Fence,
    pub(crate) account_id: AccountId,
    /// For the count of what ended.
    pub(crate) tier: Tier,
    /// As last written; progress rides on it.
    pub(crate) version: u32,
    pub(crate) lease: LeaseRef,
    /// The lease that the row names while another one is used for a repeat in doubt.
    pub(crate) spare: Option<LeaseRef>,
    /// `None` for what was adopted, until the pool is asked for it.
    pub(crate) secret: Option<SecretString>,
    pub(crate) upstream_id: Option<String>,
    /// How long the render takes, as the upstream said when it accepted it.
    pub(crate) estimate: Option<Duration>,
    pub(crate) attempts: u32,
    pub(crate) phase: Phase,
    /// When the upstream was first called, as near as this process knows.
    pub(crate) begun: Instant,
    /// The call that submits it has begun, or is just about to.
    pub(crate) called: bool,
    /// A poll, or a step of its closing, is under way.
    pub(crate) busy: bool,
    /// Look again soon: something happened while it was busy, or before it was written down that it renders.
    pub(crate) again: bool,
    /// Canceled while it could not be closed at once.
    pub(crate) closing: bool,
    /// The upstream has been told of the cancel.
    pub(crate) told_upstream: bool,
    /// The pool has been told what the upstream made of the token.
    pub(crate) reported: bool,
    /// Which timer entry counts; older ones are stale.
    pub(crate) turn: u32,
    pub(crate) due: Instant,
    pub(crate) pause: Duration,
    /// Polls (or closing steps) in a row that brought nothing.
    pub(crate) failures: u32,
    /// Polls in a row to which the upstream answered that it has no such job.
    pub(crate) unknown: u32,
    /// For when a callback last had it looked at.
    pub(crate) called_back: Option<Instant>,
    /// Below which its spans are: its claim's, or its row's where it was adopted.
    pub(crate) trace: SpanContext,
    /// When gateways last heard of its progress.
    pub(crate) told: Option<Instant>,
}

impl Entry {
    pub(crate) fn new(held: Held, account_id: AccountId, tier: Tier, lease: LeaseRef, phase: Phase) -> Self {
        let now = Instant::now();
        Self {
            fence: held.fence,
            account_id,
            tier,
            version: 0,
            lease,
            spare: None,
            secret: None,
            upstream_id: None,
            estimate: None,
            attempts: 1,
            phase,
            begun: now,
            called: false,
            busy: false,
            again: false,
            closing: false,
            told_upstream: false,
            reported: false,
            turn: 0,
            due: now,
            pause: Duration::ZERO,
            failures: 0,
            unknown: 0,
            called_back: None,
            trace: SpanContext::NONE,
            told: None,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) active: usize,
    pub(crate) rendering: usize,
}

#[derive(Default)]
pub(crate) struct Hand(Mutex<HashMap<GenerationId, Entry>>);

impl Hand {
    fn lock(&self) -> MutexGuard<'_, HashMap<GenerationId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, id: GenerationId, entry: Entry) {
        self.lock().insert(id, entry);
    }

    /// Looks at, or changes, what is held under this very fence.
    pub(crate) fn with<R>(&self, held: Held, look: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        self.lock().get_mut(&held.id).filter(|entry| entry.fence == held.fence).map(look)
    }

    /// The same under whatever fence it is held.
    pub(crate) fn with_any<R>(&self, id: GenerationId, look: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        self.lock().get_mut(&id).map(look)
    }

    /// Moves it from one phase to another, and answers it; `None` when somebody else was first.
    pub(crate) fn take(&self, held: Held, from: Phase, to: Phase) -> Option<Entry> {
        self.with(held, |entry| {
            (entry.phase == from).then(|| {
                entry.phase = to;
                entry.clone()
            })
        })
        .flatten()
    }

    /// Where its spans belong, for one that is held.
    pub(crate) fn trace(&self, held: Held) -> SpanContext {
        self.with(held, |entry| entry.trace.clone()).unwrap_or(SpanContext::NONE)
    }

    pub(crate) fn remove(&self, held: Held) -> Option<Entry> {
        let mut map = self.lock();
        if map.get(&held.id).is_some_and(|entry| entry.fence == held.fence) { map.remove(&held.id) } else { None }
    }

    /// Takes what is still being submitted out of the hands of whoever does; their answers come too late from then on.
    pub(crate) fn take_submissions(&self) -> Vec<(Held, Entry)> {
        let mut map = self.lock();
        let submitting = map.iter_mut().filter(|(_, entry)| entry.phase == Phase::Submitting);
        let taken = submitting.map(|(id, entry)| {
            entry.phase = Phase::Ending;
            (Held { id: *id, fence: entry.fence }, entry.clone())
        });
        taken.collect()
    }

    /// What renders under this token.
    pub(crate) fn rendering_under(&self, token: TokenId) -> Vec<Held> {
        let map = self.lock();
        let under = map.iter().filter(|(_, entry)| entry.phase == Phase::Rendering && entry.lease.token_id == token);
        under.map(|(id, entry)| Held { id: *id, fence: entry.fence }).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn counts(&self) -> Counts {
        let map = self.lock();
        let rendering = map.values().filter(|entry| matches!(entry.phase, Phase::Rendering | Phase::Closing)).count();
        Counts { active: map.len() - rendering, rendering }
    }

    pub(crate) fn all(&self) -> HashMap<GenerationId, Fence> {
        self.lock().iter().map(|(id, entry)| (*id, entry.fence)).collect()
    }
}
