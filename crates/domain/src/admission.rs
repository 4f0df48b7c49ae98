//! May these submissions be accepted, what do they cost, and when is their turn? Decided here, for both stores alike.
//!
//! The store locks the accounts, reads what this module asks for in a *fresh* snapshot, calls [`decide`], and writes the outcome,
//! all in one transaction. (Deciding from the snapshot of the statement that waited for the lock spends a balance twice.)
//!
//! # Fair share
//!
//! An accepted generation gets a virtual start time, its [`Tag`]: `max(virtual now, the account's last) + 1 / share`. Claims go by tag, so an account
//! with ten thousand waiting never stands before another's first, an account alone gets everything, and shares are weights.
//! (Start-time fair queueing; Goyal, Vin and Cheng, 1996.)

use crate::Timestamp;
use crate::account::{AccountStatus, Overrides, effective_limits};
use crate::credits::{Bucket, COST, Month, Movement, Purse};
use crate::ids::{AccountId, GenerationId};
use crate::request::GenerationRequest;
use crate::tier::{Tier, Tiers};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// A virtual start time. Integers, so that equal shares stay equal for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tag(pub i64);

/// What one generation of an account with share 1 adds to its tag.
pub const TAG_UNIT: i64 = 1_000_000;

/// `Idempotency-Key`, with what it was first used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub key: String,
    /// SHA-256 of the request as parsed.
    pub fingerprint: [u8; 32],
}

/// One submission as a gateway hands it over.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Made by the gateway: also the implicit key when a commit is in doubt and the same submission runs again.
    pub id: GenerationId,
    pub account_id: AccountId,
    pub request: GenerationRequest,
    pub cancel_after: Duration,
    pub idempotency: Option<IdempotencyKey>,
    pub retry_of: Option<GenerationId>,
    /// W3C `traceparent` of the request.
    pub trace: Option<String>,
}

/// An account as locked: what deciding needs of it.
#[derive(Debug, Clone)]
pub struct Standing {
    pub tier: Tier,
    pub status: AccountStatus,
    pub overrides: Overrides,
    pub purse: Purse,
    /// The greatest tag among its waiting work.
    pub last_tag: Option<Tag>,
}

/// What an idempotency key was used for within its 24 hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedKey {
    pub fingerprint: [u8; 32],
    pub generation_id: GenerationId,
}

/// All that was read under the locks.
#[derive(Debug, Default)]
pub struct Read {
    pub accounts: HashMap<AccountId, Standing>,
    pub used_keys: HashMap<(AccountId, String), UsedKey>,
    /// Ids of this very batch that exist already: an earlier run of it did commit.
    pub existing: HashSet<GenerationId>,
    /// Virtual now: the greater of the greatest tag ever claimed and the smallest ready one.
    pub virtual_now: Tag,
}

/// What is to be written for an accepted submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    pub tier: Tier,
    /// 0 for the system account.
    pub cost: i64,
    pub bucket: Option<Bucket>,
    pub month: Month,
    /// The month's roll, if this was its first debit, then the debit.
    pub movements: Vec<Movement>,
    pub tag: Tag,
    pub share: u32,
    pub deadline: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Accept(Acceptance),
    /// An earlier run of this submission, whose answer was lost, had accepted it.
    AlreadyAccepted,
    /// The key was used for the same request: answer as then.
    Replay(GenerationId),
    /// The key was used for another request.
    KeyReused,
    CreditsExhausted,
    QuotaExhausted {
        used: i64,
        limit: i64,
        resets_at: Timestamp,
    },
    AccountSuspended,
    AccountUnknown,
}

/// Decides each item by a running sum per account; the changed purses are left in `read.accounts` for the store to write.
pub fn decide(now: Timestamp, tiers: &Tiers, read: &mut Read, batch: &[Submission]) -> Vec<Decision> {
    let mut fresh: HashMap<(AccountId, &str), UsedKey> = HashMap::new();
    batch
        .iter()
        .map(|item| {
            if read.existing.contains(&item.id) {
                return Decision::AlreadyAccepted;
            }
            if let Some(key) = &item.idempotency {
                let used = read
                    .used_keys
                    .get(&(item.account_id, key.key.clone()))
                    .or_else(|| fresh.get(&(item.account_id, key.key.as_str())));
                if let Some(used) = used {
                    return if used.fingerprint == key.fingerprint {
                        Decision::Replay(used.generation_id)
                    } else {
                        Decision::KeyReused
                    };
                }
            }
            let Some(standing) = read.accounts.get_mut(&item.account_id) else {
                return Decision::AccountUnknown;
            };
            let decision = accept(now, tiers, read.virtual_now, standing, item);
            if let (Decision::Accept(_), Some(key)) = (&decision, &item.idempotency) {
                let used = UsedKey { fingerprint: key.fingerprint, generation_id: item.id };
                fresh.insert((item.account_id, key.key.as_str()), used);
            }
            decision
        })
        .collect()
}

fn accept(now: Timestamp, tiers: &Tiers, virtual_now: Tag, standing: &mut Standing, item: &Submission) -> Decision {
    if standing.status == AccountStatus::Suspended {
        return Decision::AccountSuspended;
    }
    let limits = effective_limits(standing.tier, &standing.overrides, tiers);
    let month = Month::of(now);
    let mut purse = standing.purse;
    let mut movements = Vec::new();
    let mut bucket = None;
    let mut cost = 0;
    if standing.tier == Tier::System {
        purse.month = month;
    } else {
        movements = purse.roll(month, limits.credits_per_month);
        if purse.used >= limits.generations_per_month {
            let limit = limits.generations_per_month;
            return Decision::QuotaExhausted { used: purse.used, limit, resets_at: month.resets_at() };
        }
        let Some(debit) = purse.debit() else { return Decision::CreditsExhausted };
        bucket = Some(debit.bucket);
        cost = COST;
        movements.push(debit);
    }
    let start = standing.last_tag.unwrap_or_default().max(virtual_now);
    let tag = Tag(start.0 + TAG_UNIT / i64::from(limits.share));
    standing.purse = purse;
    standing.last_tag = Some(tag);
    Decision::Accept(Acceptance {
        tier: standing.tier,
        cost,
        bucket,
        month: purse.month,
        movements,
        tag,
        share: limits.share,
        deadline: now + item.cancel_after,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Draft;
    use uuid::Uuid;

    const NOW: &str = "2026-11-24T10:00:00Z";

    fn account(n: u128) -> AccountId {
        AccountId::from_uuid(Uuid::from_u128(n))
    }

    fn submission(n: u128, account_id: AccountId, key: Option<(&str, u8)>) -> Submission {
        Submission {
            id: GenerationId::from_uuid(Uuid::from_u128(n)),
            account_id,
            request: GenerationRequest::parse(Draft { prompt: Some("rain".into()), ..Draft::default() }).unwrap(),
            cancel_after: Duration::from_secs(3_600),
            idempotency: key.map(|(key, body)| IdempotencyKey { key: key.into(), fingerprint: [body; 32] }),
            retry_of: None,
            trace: None,
        }
    }

    fn standing(tier: Tier) -> Standing {
        Standing {
            tier,
            status: AccountStatus::Active,
            overrides: Overrides::default(),
            purse: Purse::default(),
            last_tag: None,
        }
    }

    fn run(read: &mut Read, batch: &[Submission]) -> Vec<Decision> {
        decide(NOW.parse().unwrap(), &Tiers::default(), read, batch)
    }

    #[test]
    fn a_balance_is_spent_once_within_a_batch() {
        let mut free = standing(Tier::Free);
        free.overrides.generations_per_month = Some(100);
        let mut read = Read { accounts: HashMap::from([(account(1), free)]), ..Read::default() };
        let batch: Vec<_> = (0..7).map(|n| submission(n, account(1), None)).collect();
        let accepted = run(&mut read, &batch).iter().filter(|d| matches!(d, Decision::Accept(_))).count();
        assert_eq!((accepted, read.accounts[&account(1)].purse.balance()), (5, 0));
    }

    #[test]
    fn the_quota_wins_where_credits_are_gone_too() {
        let mut read = Read { accounts: HashMap::from([(account(1), standing(Tier::Free))]), ..Read::default() };
        let batch: Vec<_> = (0..6).map(|n| submission(n, account(1), None)).collect();
        let last = run(&mut read, &batch).pop().unwrap();
        let resets_at = "2026-12-01T00:00:00Z".parse().unwrap();
        assert_eq!(last, Decision::QuotaExhausted { used: 5, limit: 5, resets_at });
    }

    #[test]
    fn a_key_is_joined_within_a_batch_and_refused_for_another_body() {
        let mut read = Read { accounts: HashMap::from([(account(1), standing(Tier::Pro))]), ..Read::default() };
        let batch = [
            submission(1, account(1), Some(("k", 1))),
            submission(2, account(1), Some(("k", 1))),
            submission(3, account(1), Some(("k", 2))),
        ];
        let decisions = run(&mut read, &batch);
        assert!(matches!(decisions[0], Decision::Accept(_)));
        assert_eq!(decisions[1..], [Decision::Replay(batch[0].id), Decision::KeyReused]);
        assert_eq!(read.accounts[&account(1)].purse.used, 1);
    }

    #[test]
    fn turns_are_taken_by_share() {
        let accounts = HashMap::from([(account(1), standing(Tier::Free)), (account(2), standing(Tier::Pro))]);
        let mut read = Read { accounts, virtual_now: Tag(500), ..Read::default() };
        read.accounts.values_mut().for_each(|s| s.overrides.credits_per_month = Some(100));
        read.accounts.values_mut().for_each(|s| s.overrides.generations_per_month = Some(100));
        let batch: Vec<_> = (0..60).map(|n| submission(n, account(n % 2 + 1), None)).collect();
        let mut tags: Vec<_> = run(&mut read, &batch)
            .iter()
            .zip(&batch)
            .map(|(decision, item)| match decision {
                Decision::Accept(a) => (a.tag, item.account_id),
                other => panic!("{other:?}"),
            })
            .collect();
        tags.sort_unstable();
        let pro_of_first_30 = tags[..30].iter().filter(|(_, id)| *id == account(2)).count();
        assert_eq!(pro_of_first_30, 20);
    }
}
