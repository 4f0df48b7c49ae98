//! Taking in what sources gave, a thousand at a time: one that cannot be imported is left out and counted, never a reason to refuse the
//! others.

use crate::admin::{IMPORT_MAX, fault_of};
use crate::pool::Pool;
use crate::refused::Refused;
use domain::token::{ImportOutcome, TokenImport};

/// Where tokens came from, in logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    File,
    Provisioner,
}

impl Origin {
    pub(crate) const ALL: [Self; 2] = [Self::File, Self::Provisioner];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Provisioner => "provisioner",
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TakenIn {
    pub(crate) imported: u64,
    pub(crate) duplicate: u64,
    /// Past `MAX_TOKENS`.
    pub(crate) pool_full: u64,
    /// No token at all.
    pub(crate) invalid: u64,
}

impl Pool {
    /// Until the first error: what was taken in before it is in, and counts as a duplicate the next time.
    pub(crate) async fn take_in_from(&self, origin: Origin, tokens: Vec<TokenImport>) -> Result<TakenIn, Refused> {
        let mut taken = TakenIn::default();
        let whole = tokens.len();
        let mut good: Vec<TokenImport> = tokens.into_iter().filter(|token| fault_of(token).is_none()).collect();
        taken.invalid = (whole - good.len()) as u64;
        self.metrics.sourced(origin, "invalid", taken.invalid);
        while !good.is_empty() {
            let rest = good.split_off(good.len().min(IMPORT_MAX));
            for outcome in self.take_in(std::mem::replace(&mut good, rest)).await? {
                let (count, name) = match outcome {
                    ImportOutcome::Imported(_) => (&mut taken.imported, "imported"),
                    ImportOutcome::Duplicate(_) => (&mut taken.duplicate, "duplicate"),
                    ImportOutcome::PoolFull => (&mut taken.pool_full, "pool_full"),
                };
                *count += 1;
                self.metrics.sourced(origin, name, 1);
            }
        }
        let TakenIn { imported, duplicate, pool_full, invalid } = taken;
        if pool_full + invalid > 0 {
            tracing::warn!(
                source = origin.name(),
                imported,
                duplicate,
                pool_full,
                invalid,
                "not all tokens were taken in"
            );
        } else if imported > 0 {
            tracing::info!(source = origin.name(), imported, duplicate, "tokens were taken in");
        }
        Ok(taken)
    }

    /// How many usable tokens are wanting to the minimum, and how many may come before the maximum. `None`: not the leader.
    pub(crate) fn wanting(&self) -> Option<(u32, u32)> {
        let state = self.state();
        state.leading().ok()?;
        let stats = self.count(&state);
        let counted = stats.usable + stats.cooling + stats.quarantined + stats.exhausted;
        Some((stats.min.saturating_sub(stats.usable), stats.max.saturating_sub(counted)))
    }
}
