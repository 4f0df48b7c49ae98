//! One render, told from its id alone: when it began, how long it takes, what it sounds like and whether it fails.
//!
//! No secret and no signature: the check bytes only keep other texts from passing as ids.

use crate::music::Seed;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

const PREFIX: &str = "sim_";
const FAILS: u8 = 1;
const BYTES: usize = 31;
const CHECKED: usize = 27;
/// How long after its end a render is still known.
const KNOWN_FOR_MS: u64 = 24 * 3_600_000;

/// An upstream id that describes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RenderId {
    /// When it was accepted, in ms since 1970.
    pub started_ms: u64,
    pub length_ms: u32,
    pub fails: bool,
    pub seed: Seed,
    /// A hash of token, idempotency key and the key's turn, or random without a key.
    pub unique: u64,
}

/// Where a render stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Phase {
    Pending,
    Processing {
        fraction: f64,
        remaining_ms: u64,
    },
    Completed,
    Failed,
    /// Ended so long ago that the upstream has forgotten it.
    Forgotten,
}

impl RenderId {
    pub(crate) fn ends_ms(&self) -> u64 {
        self.started_ms.saturating_add(u64::from(self.length_ms))
    }

    pub(crate) fn phase(&self, now_ms: u64) -> Phase {
        let elapsed = now_ms.saturating_sub(self.started_ms);
        let length = u64::from(self.length_ms);
        if elapsed >= length.saturating_add(KNOWN_FOR_MS) {
            Phase::Forgotten
        } else if elapsed >= length {
            if self.fails { Phase::Failed } else { Phase::Completed }
        } else if elapsed < length / 20 {
            Phase::Pending
        } else {
            Phase::Processing { fraction: elapsed as f64 / length as f64, remaining_ms: length - elapsed }
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?.try_into().ok()?;
        if bytes[CHECKED..] != check(&bytes[..CHECKED]) {
            return None;
        }
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte))
        };
        Some(Self {
            started_ms: number(0..6),
            length_ms: u32::try_from(number(6..10)).ok()?,
            fails: bytes[10] & FAILS != 0,
            seed: Seed(number(11..19)),
            unique: number(19..27),
        })
    }
}

impl std::fmt::Display for RenderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&self.started_ms.to_be_bytes()[2..]);
        bytes.extend_from_slice(&self.length_ms.to_be_bytes());
        bytes.push(if self.fails { FAILS } else { 0 });
        bytes.extend_from_slice(&self.seed.0.to_be_bytes());
        bytes.extend_from_slice(&self.unique.to_be_bytes());
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

fn check(bytes: &[u8]) -> [u8; BYTES - CHECKED] {
    let digest = Sha256::new().chain_update(b"son1k simulator render").chain_update(bytes).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The first eight bytes of a hash over `parts`, each ended by a byte that UTF-8 never has.
pub(crate) fn hash64(parts: &[&str]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0xff]);
    }
    hasher.finalize().iter().take(8).fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RenderId {
        RenderId { started_ms: 1_800_000_000_123, length_ms: 2_000, fails: false, seed: Seed(42), unique: u64::MAX - 7 }
    }

    #[test]
    fn an_id_reads_back_and_a_changed_one_is_nobody_s() {
        let text = id().to_string();
        assert_eq!(RenderId::parse(&text), Some(id()));
        for at in PREFIX.len()..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(RenderId::parse(std::str::from_utf8(&wrong).unwrap()), None, "at {at}");
        }
        assert_eq!(RenderId::parse("sim_"), None);
        assert_eq!(RenderId::parse("gen_01h455vb4pex5vsknk084sn02q"), None);
    }

    #[test]
    fn time_alone_moves_a_render_on() {
        let start = id().started_ms;
        assert_eq!(id().phase(start), Phase::Pending);
        assert_eq!(id().phase(start + 500), Phase::Processing { fraction: 0.25, remaining_ms: 1_500 });
        assert_eq!(id().phase(start + 2_000), Phase::Completed);
        assert_eq!(RenderId { fails: true, ..id() }.phase(start + 2_000), Phase::Failed);
        assert_eq!(id().phase(start + 2_000 + KNOWN_FOR_MS), Phase::Forgotten);
    }
}
