//! The simulator's own record of each call, so that a test can prove what reached the upstream. A ring: the oldest entries go first.

use crate::render::RenderId;
use crate::renders::TokenTag;
use crate::script::{Call, FaultKind};
use serde::Serialize;
use std::collections::VecDeque;

const ENTRIES_MOST: usize = 200_000;
const KEY_LONGEST: usize = 255;

/// One call, as it ended.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Milliseconds since 1970, when it arrived.
    pub at: u64,
    pub call: Call,
    pub token: Option<TokenTag>,
    pub key: Option<Box<str>>,
    pub upstream_id: Option<RenderId>,
    /// `None`: it got no answer.
    pub status: Option<u16>,
    pub fault: Option<FaultKind>,
    /// Renders of the token that run after this call.
    pub in_flight: usize,
}

/// An entry as it is shown.
#[derive(Serialize)]
pub(crate) struct Shown {
    offset: u64,
    at: u64,
    call: Call,
    token: Option<String>,
    key: Option<Box<str>>,
    upstream_id: Option<String>,
    status: Option<u16>,
    fault: Option<FaultKind>,
    in_flight: usize,
}

#[derive(Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    /// Entries that the ring has dropped.
    dropped: u64,
}

impl Log {
    pub(crate) fn append(&mut self, mut entry: Entry) {
        if entry.key.as_ref().is_some_and(|key| key.len() > KEY_LONGEST) {
            entry.key = None;
        }
        if self.entries.len() >= ENTRIES_MOST {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(entry);
    }

    /// The offset of the oldest entry that is left.
    pub(crate) const fn first(&self) -> u64 {
        self.dropped
    }

    /// The offset that the next entry gets.
    pub(crate) fn next(&self) -> u64 {
        self.dropped + self.entries.len() as u64
    }

    /// At most `limit` entries from `offset` on (or from the oldest that is left), and the offset after them.
    pub(crate) fn read(&self, offset: u64, limit: usize) -> (Vec<Shown>, u64) {
        let first = offset.max(self.first());
        let skip = usize::try_from(first - self.dropped).unwrap_or(usize::MAX);
        let shown: Vec<Shown> = self
            .entries
            .iter()
            .skip(skip)
            .take(limit)
            .zip(first..)
            .map(|(entry, offset)| Shown {
                offset,
                at: entry.at,
                call: entry.call,
                token: entry.token.map(|tag| format!("{tag:016x}")),
                key: entry.key.clone(),
                upstream_id: entry.upstream_id.map(|id| id.to_string()),
                status: entry.status,
                fault: entry.fault,
                in_flight: entry.in_flight,
            })
            .collect();
        let next = first + shown.len() as u64;
        (shown, next)
    }
}
