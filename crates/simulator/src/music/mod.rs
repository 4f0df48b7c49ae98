//! Short real music out of a prompt: the same prompt is the same piece, note for note and sample for sample.
//!
//! [`compose`] decides the notes, [`perform`] makes them sound, [`wav`] is the file. No claim to art, and no network, no samples, no
//! model: everything follows from eight bytes.

mod compose;
mod perform;
mod wav;

use crate::render::hash64;
use crate::world::lock;
use actix_web::web::Bytes;
use compose::Piece;
use std::collections::VecDeque;
use std::sync::Mutex;
use tokio::sync::Semaphore;

/// Recordings kept, about 300 KB each.
const KEPT_MOST: usize = 8;
/// Recordings made at once; the others wait.
const AT_ONCE: usize = 2;

/// All that a piece follows from. The lowest two bits are its [`Mood`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(pub u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Lofi,
    Bright,
    Calm,
    Driving,
}

const WORDS: [(Mood, &[&str]); 4] = [
    (Mood::Lofi, &["lofi", "lo-fi", "chill", "study", "rain", "jazz", "hip hop"]),
    (Mood::Calm, &["ambient", "calm", "sleep", "piano", "slow", "meditation", "ballad"]),
    (Mood::Driving, &["techno", "rock", "drive", "metal", "house", "energetic", "synthwave", "dance"]),
    (Mood::Bright, &["happy", "pop", "bright", "summer", "folk", "upbeat", "children"]),
];

impl Seed {
    pub(crate) fn of(prompt: &str, style: Option<&str>) -> Self {
        let hash = hash64(&["piece", prompt.trim(), style.unwrap_or_default().trim()]);
        let text = format!("{} {prompt}", style.unwrap_or_default()).to_lowercase();
        let named = WORDS.iter().find(|(_, words)| words.iter().any(|word| text.contains(word)));
        Self(named.map_or(hash, |(mood, _)| (hash & !3) | *mood as u64))
    }

    pub(crate) const fn mood(self) -> Mood {
        match self.0 & 3 {
            0 => Mood::Lofi,
            1 => Mood::Bright,
            2 => Mood::Calm,
            _ => Mood::Driving,
        }
    }

    pub(crate) fn compose(self) -> Piece {
        Piece::of(self)
    }
}

/// Makes recordings on demand and keeps the latest few.
pub(crate) struct Studio {
    kept: Mutex<VecDeque<(Seed, Bytes)>>,
    booths: Semaphore,
}

impl Default for Studio {
    fn default() -> Self {
        Self { kept: Mutex::default(), booths: Semaphore::new(AT_ONCE) }
    }
}

impl Studio {
    /// The piece as a WAV file; `None` when the process shuts down.
    pub(crate) async fn record(&self, seed: Seed) -> Option<Bytes> {
        if let Some(wav) = self.kept(seed) {
            return Some(wav);
        }
        let _booth = self.booths.acquire().await.ok()?;
        // Another listener may have had it made meanwhile.
        if let Some(wav) = self.kept(seed) {
            return Some(wav);
        }
        let making = tokio::task::spawn_blocking(move || Bytes::from(wav::file(&perform::perform(&seed.compose()))));
        let wav = making.await.ok()?;
        let mut kept = lock(&self.kept);
        kept.truncate(KEPT_MOST - 1);
        kept.push_front((seed, wav.clone()));
        Some(wav)
    }

    fn kept(&self, seed: Seed) -> Option<Bytes> {
        lock(&self.kept).iter().find(|(of, _)| *of == seed).map(|(_, wav)| wav.clone())
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same on every machine and in every version.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: Seed) -> Self {
        Self(seed.0)
    }

    pub(crate) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `sides` - 1.
    pub(crate) const fn below(&mut self, sides: u64) -> u64 {
        self.roll() % sides
    }

    /// 0 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.roll() >> 40) as f32 / (1_u64 << 24) as f32
    }

    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }
}
