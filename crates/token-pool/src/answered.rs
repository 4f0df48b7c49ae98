//! Acquisitions whose answer may have been lost, so that a repeat brings the same leases. Bounded by number and by time; nothing here
//! says whether a lease still stands.

use domain::token::TokenLease;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// A repeat comes within its caller's deadline or never.
const WINDOW: Duration = Duration::from_secs(5);
/// Five thousand a second, twice over.
const MOST: usize = 50_000;

#[derive(Default)]
pub(crate) struct Answered {
    leases: HashMap<[u8; 16], Vec<TokenLease>>,
    order: VecDeque<(Instant, [u8; 16])>,
}

impl Answered {
    pub(crate) fn to(&mut self, request_id: [u8; 16], now: Instant) -> Option<Vec<TokenLease>> {
        self.forget(now);
        self.leases.get(&request_id).cloned()
    }

    pub(crate) fn remember(&mut self, request_id: [u8; 16], leases: &[TokenLease], now: Instant) {
        self.forget(now);
        if self.order.len() >= MOST
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.leases.remove(&oldest);
        }
        // An id that is used anew once its leases are over stands at its first place.
        if self.leases.insert(request_id, leases.to_vec()).is_none() {
            self.order.push_back((now, request_id));
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, oldest)) = self.order.front().copied()
            && now.saturating_duration_since(at) > WINDOW
        {
            self.order.pop_front();
            self.leases.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_for_a_while_and_not_without_end() {
        let mut answered = Answered::default();
        let begin = Instant::now();
        answered.remember([1; 16], &[], begin);
        assert!(answered.to([1; 16], begin + WINDOW).is_some());
        assert!(answered.to([2; 16], begin).is_none());
        assert!(answered.to([1; 16], begin + WINDOW + Duration::from_millis(1)).is_none());
        for number in 0..MOST as u128 + 10 {
            answered.remember(number.to_be_bytes(), &[], begin);
        }
        assert_eq!((answered.leases.len(), answered.order.len()), (MOST, MOST));
        assert!(answered.to(9_u128.to_be_bytes(), begin).is_none());
        assert!(answered.to(10_u128.to_be_bytes(), begin).is_some());
    }
}
