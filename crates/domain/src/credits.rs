//! Credits: an append-only ledger with two buckets, and what one generation costs.
//!
//! Accepting debits, a refund credits, and settling a success adds nothing: what is reserved is the sum over live work.
//! Credits granted for a month lapse at its end; purchased ones do not and are spent last. A refund returns to the bucket it
//! came from, and lapses with it. The month's grant and lapse are lazy: they are written at the account's first debit in the month
//! ([`Purse::roll`]), and readers compute them the same way.

use crate::Timestamp;
use crate::ids::{AccountId, EntryId, GenerationId};
use chrono::{DateTime, Datelike, TimeZone, Utc};
use serde::{Deserialize, Serialize};

/// What one generation costs.
pub const COST: i64 = 1;

/// A calendar month in UTC as `year * 100 + month`; 0 is "never".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Month(pub i32);

impl Month {
    pub fn of(at: Timestamp) -> Self {
        Self(at.year() * 100 + at.month() as i32)
    }

    /// The moment at which the month after this one begins.
    pub fn resets_at(self) -> Timestamp {
        let (year, month) = (self.0 / 100, (self.0 % 100) as u32);
        let (year, month) = if month >= 12 { (year + 1, 1) } else { (year, month + 1) };
        Utc.with_ymd_and_hms(year, month, 1, 0, 0, 0).single().unwrap_or(DateTime::UNIX_EPOCH)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Grant,
    TopUp,
    Debit,
    Refund,
    Lapse,
}

impl EntryKind {
    pub const ALL: [Self; 5] = [Self::Grant, Self::TopUp, Self::Debit, Self::Refund, Self::Lapse];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::TopUp => "top_up",
            Self::Debit => "debit",
            Self::Refund => "refund",
            Self::Lapse => "lapse",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Where a credit came from, so that a refund can return there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    Granted,
    Purchased,
}

impl Bucket {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Purchased => "purchased",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Granted, Self::Purchased].into_iter().find(|bucket| bucket.name() == name)
    }
}

/// One line of an account's ledger. `amount` is signed: debits and lapses are negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditEntry {
    pub id: EntryId,
    pub account_id: AccountId,
    pub kind: EntryKind,
    pub bucket: Bucket,
    pub amount: i64,
    pub generation_id: Option<GenerationId>,
    pub reason: Option<String>,
    pub created_at: Timestamp,
}

/// An account's purse as its row holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purse {
    /// Left of this month's grant.
    pub granted: i64,
    pub purchased: i64,
    /// The month that `granted`, `granted_in_month` and `used` speak of.
    pub month: Month,
    /// All that was granted in that month (a rise of tier grants the difference).
    pub granted_in_month: i64,
    /// Generations of that month, refunded ones not counted.
    pub used: i64,
}

/// An amount that moved, before it has an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Movement {
    pub kind: EntryKind,
    pub bucket: Bucket,
    pub amount: i64,
}

impl Purse {
    pub const fn balance(&self) -> i64 {
        self.granted + self.purchased
    }

    /// Brings the purse into `month`: what was left of an older grant lapses, the month's credits are granted.
    pub fn roll(&mut self, month: Month, credits_per_month: i64) -> Vec<Movement> {
        let mut movements = Vec::new();
        if self.month >= month {
            return movements;
        }
        if self.granted > 0 {
            movements.push(Movement { kind: EntryKind::Lapse, bucket: Bucket::Granted, amount: -self.granted });
        }
        if credits_per_month > 0 {
            movements.push(Movement { kind: EntryKind::Grant, bucket: Bucket::Granted, amount: credits_per_month });
        }
        self.granted = credits_per_month.max(0);
        self.granted_in_month = self.granted;
        self.used = 0;
        self.month = month;
        movements
    }

    /// After a rise of tier or override within the month, grants what is missing. A fall takes nothing back.
    pub fn raise(&mut self, credits_per_month: i64) -> Option<Movement> {
        let missing = credits_per_month - self.granted_in_month;
        if missing <= 0 {
            return None;
        }
        self.granted += missing;
        self.granted_in_month += missing;
        Some(Movement { kind: EntryKind::Grant, bucket: Bucket::Granted, amount: missing })
    }

    /// Takes the cost of one generation, granted credits first. `None` when neither bucket holds it.
    pub fn debit(&mut self) -> Option<Movement> {
        let bucket = if self.granted >= COST {
            self.granted -= COST;
            Bucket::Granted
        } else if self.purchased >= COST {
            self.purchased -= COST;
            Bucket::Purchased
        } else {
            return None;
        };
        self.used += 1;
        Some(Movement { kind: EntryKind::Debit, bucket, amount: -COST })
    }

    /// Gives back what a generation of `month` took from `bucket`. Granted credits of a month that has passed lapse at once.
    pub fn refund(&mut self, bucket: Bucket, month: Month) -> Vec<Movement> {
        let mut movements = vec![Movement { kind: EntryKind::Refund, bucket, amount: COST }];
        if month == self.month {
            self.used = (self.used - 1).max(0);
        }
        match bucket {
            Bucket::Purchased => self.purchased += COST,
            Bucket::Granted if month == self.month => self.granted += COST,
            Bucket::Granted => movements.push(Movement { kind: EntryKind::Lapse, bucket, amount: -COST }),
        }
        movements
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        assert_eq!(Month::of(at("2026-12-31T23:59:59.999Z")).resets_at(), at("2027-01-01T00:00:00Z"));
        assert_eq!(Month::of(at("2026-02-01T00:00:00Z")), Month(202_602));
    }

    #[test]
    fn granted_credits_lapse_and_purchased_ones_are_spent_last() {
        let mut purse = Purse { purchased: 1, ..Purse::default() };
        purse.roll(Month(202_601), 1);
        assert_eq!(purse.debit().map(|m| m.bucket), Some(Bucket::Granted));
        assert_eq!(purse.debit().map(|m| m.bucket), Some(Bucket::Purchased));
        assert_eq!(purse.debit(), None);
        purse.roll(Month(202_602), 5);
        assert_eq!(purse.balance(), 5);
        // The granted credit of January returns and lapses; the purchased one stays.
        assert_eq!(purse.refund(Bucket::Granted, Month(202_601)).iter().map(|m| m.amount).sum::<i64>(), 0);
        purse.refund(Bucket::Purchased, Month(202_601));
        assert_eq!((purse.balance(), purse.used), (6, 0));
    }

    proptest! {
        /// Whatever happens, the balance is what moved, and no bucket is ever below zero.
        #[test]
        fn the_balance_is_the_sum_of_its_movements(steps in proptest::collection::vec((0u8..5, 0i64..20), 0..200)) {
            let (mut purse, mut sum, mut open) = (Purse::default(), 0i64, Vec::new());
            let mut month = Month(202_601);
            purse.roll(month, 3).iter().for_each(|m| sum += m.amount);
            for (step, amount) in steps {
                match step {
                    0 => if let Some(m) = purse.debit() { sum += m.amount; open.push((m.bucket, month)); },
                    1 => if let Some((bucket, month)) = open.pop() { purse.refund(bucket, month).iter().for_each(|m| sum += m.amount); },
                    2 => { month = Month(month.0 + 1); purse.roll(month, amount).iter().for_each(|m| sum += m.amount); },
                    3 => { purse.purchased += amount; sum += amount; },
                    _ => if let Some(m) = purse.raise(amount) { sum += m.amount; },
                }
                prop_assert_eq!(purse.balance(), sum);
                prop_assert!(purse.granted >= 0 && purse.purchased >= 0 && purse.used >= 0);
            }
        }
    }
}
