//! One timer for everything that renders: a heap of moments, and nothing else for each of them.
//!
//! A moment is never taken back: what was scheduled anew carries a higher turn, and the old moment is found stale when it comes.

use crate::hand::Hand;
use domain::ids::GenerationId;
use domain::lease::Held;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

type Moment = Reverse<(Instant, GenerationId, u32)>;

#[derive(Default)]
pub(crate) struct Timer {
    heap: Mutex<BinaryHeap<Moment>>,
    earlier: Notify,
}

impl Timer {
    fn heap(&self) -> MutexGuard<'_, BinaryHeap<Moment>> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, due: Instant, id: GenerationId, turn: u32) {
        let mut heap = self.heap();
        let earliest = heap.peek().is_none_or(|Reverse((first, _, _))| due < *first);
        heap.push(Reverse((due, id, turn)));
        drop(heap);
        if earliest {
            self.earlier.notify_one();
        }
    }

    /// The next turn of what is held comes after this; one that was scheduled before does not count any more.
    pub(crate) fn schedule(&self, hand: &Hand, held: Held, after: Duration) {
        let due = Instant::now() + after;
        let turn = hand.with(held, |entry| {
            entry.turn = entry.turn.wrapping_add(1);
            entry.due = due;
            entry.turn
        });
        if let Some(turn) = turn {
            self.push(due, held.id, turn);
        }
    }

    /// Waits for the next moment and takes it.
    pub(crate) async fn next(&self) -> (GenerationId, u32) {
        loop {
            let earlier = self.earlier.notified();
            let first = {
                let mut heap = self.heap();
                match heap.peek() {
                    Some(Reverse((due, id, turn))) if *due <= Instant::now() => {
                        let found = (*id, *turn);
                        heap.pop();
                        return found;
                    }
                    first => first.map(|Reverse((due, _, _))| *due),
                }
            };
            match first {
                Some(due) => tokio::select! {
                    () = earlier => {}
                    () = tokio::time::sleep_until(due.into()) => {}
                },
                None => earlier.await,
            }
        }
    }
}
