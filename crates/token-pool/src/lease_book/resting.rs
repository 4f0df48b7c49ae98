//! Rest for tokens that are leased more than others. A rest is no absence: where no other token is free, one that rests is leased.

use super::LeaseBook;
use crate::health::State;
use domain::ids::TokenId;

/// Fewer leases in a rotation are no overuse, however few the others had.
const LEASES_LEAST: u32 = 10;

impl LeaseBook {
    /// A rotation: those with more than twice their share of the leases begun since the last one, measured by their concurrency, rest
    /// until the next. Answers how many.
    pub fn rotate(&mut self) -> usize {
        let usable = self.tokens.values().filter(|entry| matches!(entry.terms.health.state, State::Usable));
        let (begun, concurrency) = usable.fold((0_u128, 0_u128), |(begun, concurrency), entry| {
            (begun + u128::from(entry.begun), concurrency + u128::from(entry.terms.max_concurrency.max(1)))
        });
        let ids: Vec<TokenId> = self.tokens.keys().copied().collect();
        for id in ids {
            if let Some(entry) = self.tokens.get_mut(&id) {
                let own = u128::from(entry.begun) * concurrency;
                let share = begun * u128::from(entry.terms.max_concurrency.max(1));
                entry.rests = entry.begun >= LEASES_LEAST && own > 2 * share;
                entry.begun = 0;
            }
            self.refile(id);
        }
        self.resting()
    }

    pub fn rests(&self, id: TokenId) -> bool {
        self.tokens.get(&id).is_some_and(|entry| entry.rests)
    }

    pub fn resting(&self) -> usize {
        self.tokens.values().filter(|entry| entry.rests).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Health, Policy};
    use crate::lease_book::{Given, Terms};
    use domain::Timestamp;
    use domain::ids::{LeaseId, WorkerId};
    use domain::ports::tokens::Epoch;
    use domain::token::LeaseOutcome;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn token(number: u8) -> TokenId {
        TokenId::new(NOW, [number; 10])
    }

    fn lease() -> LeaseId {
        LeaseId::new(NOW, rand::random())
    }

    fn book(concurrency: [u32; 3]) -> LeaseBook {
        let mut book = LeaseBook::new(Epoch(1), Policy::default(), Duration::from_secs(10));
        for (number, max_concurrency) in (0..).zip(concurrency) {
            let health = Health::usable();
            let terms =
                Terms { id: token(number), max_concurrency, requests_per_minute: None, expires_at: None, health };
            book.add(terms, NOW);
        }
        book
    }

    fn owner() -> WorkerId {
        WorkerId::new(NOW, [9; 10])
    }

    fn used(book: &mut LeaseBook, number: u8, times: u32) {
        for _ in 0..times {
            let Given::Granted(grant) = book.grant_token(owner(), token(number), NOW, lease()) else {
                panic!("not granted")
            };
            book.release(grant.lease_id, LeaseOutcome::Ok, NOW);
        }
    }

    #[test]
    fn an_overused_token_rests_until_the_next_rotation_and_serves_where_no_other_can() {
        let mut book = book([1, 1, 1]);
        used(&mut book, 0, 40);
        used(&mut book, 1, 9);
        assert_eq!(book.rotate(), 1);
        assert!(book.rests(token(0)));
        let order: Vec<_> = book.grant(owner(), 3, NOW, lease).into_iter().map(|grant| grant.token_id).collect();
        assert_eq!(order[2], token(0), "last, and not left out");
        assert_eq!(book.rotate(), 0, "an even rotation ends all rests");
    }

    #[test]
    fn use_is_measured_by_concurrency_and_a_quiet_pool_rests_nobody() {
        let mut book = book([1, 20, 1]);
        used(&mut book, 1, 60);
        used(&mut book, 2, 6);
        assert_eq!(book.rotate(), 0, "twenty at once may be used twenty times as much, and six are not many");
    }
}
