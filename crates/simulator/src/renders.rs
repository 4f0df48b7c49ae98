//! The renders that this process remembers: idempotency, cancels, titles, and how many run for each token.
//!
//! A memory, not the truth: what is forgotten here is still answered from its id. Bounded by [`KEPT_MOST`] and [`KEPT_FOR_MS`].

use crate::render::{Phase, RenderId};
use std::collections::{BTreeSet, HashMap, VecDeque};

const KEPT_MOST: usize = 200_000;
const KEPT_FOR_MS: u64 = 3_600_000;

/// A token as logs and counts name it: a hash, never the secret.
pub(crate) type TokenTag = u64;

struct Kept {
    id: RenderId,
    token: TokenTag,
    title: Option<Box<str>>,
    canceled: bool,
}

/// What an idempotency key means now.
pub(crate) enum Keyed {
    Stands(RenderId),
    /// Nothing: this is the unique number of the render that begins.
    Next(u64),
}

#[derive(Default)]
pub(crate) struct Renders {
    kept: HashMap<u64, Kept>,
    /// In the order of acceptance, oldest first.
    order: VecDeque<u64>,
    /// For each token, what runs: (its end in ms, its unique number).
    busy: HashMap<TokenTag, BTreeSet<(u64, u64)>>,
}

impl Renders {
    /// The render that a token's idempotency key stands for. One that failed or was canceled stands for nothing any more, so each turn of
    /// a key has a number of its own.
    pub(crate) fn of_key(&self, unique_of: impl Fn(u32) -> u64, now_ms: u64) -> Keyed {
        let mut turn = 0;
        loop {
            let unique = unique_of(turn);
            match self.kept.get(&unique) {
                None => return Keyed::Next(unique),
                Some(kept) if !kept.canceled && kept.id.phase(now_ms) != Phase::Failed => {
                    return Keyed::Stands(kept.id);
                }
                Some(_) => turn += 1,
            }
        }
    }

    pub(crate) fn title(&self, id: &RenderId) -> Option<&str> {
        self.kept.get(&id.unique).and_then(|kept| kept.title.as_deref())
    }

    pub(crate) fn is_canceled(&self, id: &RenderId) -> bool {
        self.kept.get(&id.unique).is_some_and(|kept| kept.canceled)
    }

    /// Remembers a render, of this process or (told from its id) of one before.
    pub(crate) fn remember(&mut self, id: RenderId, token: TokenTag, title: Option<&str>, now_ms: u64) {
        self.forget_old(now_ms);
        if self.kept.contains_key(&id.unique) {
            return;
        }
        self.kept.insert(id.unique, Kept { id, token, title: title.map(Into::into), canceled: false });
        self.order.push_back(id.unique);
        if id.ends_ms() > now_ms {
            self.busy.entry(token).or_default().insert((id.ends_ms(), id.unique));
        }
    }

    /// Stops a render that runs. One that has ended stays as it ended.
    pub(crate) fn cancel(&mut self, id: &RenderId, now_ms: u64) {
        if let Some(kept) = self.kept.get_mut(&id.unique)
            && kept.id.ends_ms() > now_ms
        {
            kept.canceled = true;
            let (token, busy) = (kept.token, (kept.id.ends_ms(), kept.id.unique));
            self.free(token, busy);
        }
    }

    /// How many renders of the token run, and when the first of them ends (ms since 1970).
    pub(crate) fn in_flight(&mut self, token: TokenTag, now_ms: u64) -> (usize, Option<u64>) {
        let Some(running) = self.busy.get_mut(&token) else { return (0, None) };
        while running.first().is_some_and(|(end, _)| *end <= now_ms) {
            running.pop_first();
        }
        let now_running = (running.len(), running.first().map(|(end, _)| *end));
        if now_running.0 == 0 {
            self.busy.remove(&token);
        }
        now_running
    }

    fn free(&mut self, token: TokenTag, busy: (u64, u64)) {
        if let Some(running) = self.busy.get_mut(&token) {
            running.remove(&busy);
            if running.is_empty() {
                self.busy.remove(&token);
            }
        }
    }

    fn forget_old(&mut self, now_ms: u64) {
        while let Some(oldest) = self.order.front().and_then(|unique| self.kept.get(unique)) {
            let expired = oldest.id.ends_ms().saturating_add(KEPT_FOR_MS) <= now_ms;
            if !expired && self.order.len() < KEPT_MOST {
                return;
            }
            let (token, end, unique) = (oldest.token, oldest.id.ends_ms(), oldest.id.unique);
            self.free(token, (end, unique));
            self.kept.remove(&unique);
            self.order.pop_front();
        }
    }
}
