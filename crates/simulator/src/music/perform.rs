//! Makes a piece sound: additive voices with soft envelopes, drums out of noise and a falling sine, a short echo, a warm filter.

use super::compose::{Drum, Hit, Note, Piece, Voice};
use super::{Dice, Mood};
use std::f32::consts::TAU;

/// Samples a second.
pub(crate) const RATE: u32 = 22_050;
const RATE_F: f32 = RATE as f32;

/// Mono samples, -32,768 to 32,767.
pub(crate) fn perform(piece: &Piece) -> Vec<i16> {
    let length = (piece.seconds() * RATE_F) as usize;
    let mut mix = vec![0.0_f32; length];
    for note in &piece.notes {
        play(&mut mix, note);
    }
    echo(&mut mix);
    let mut dice = Dice::new(piece.seed);
    for hit in &piece.hits {
        strike(&mut mix, hit, &mut dice);
    }
    if piece.mood == Mood::Lofi {
        wear(&mut mix, &mut dice);
    }
    master(&mix)
}

fn sample_at(seconds: f32) -> usize {
    (seconds * RATE_F) as usize
}

/// Each voice is a fundamental and its harmonics: (multiple, share, how fast it decays a second).
const fn timbre(voice: Voice) -> &'static [(f32, f32, f32)] {
    match voice {
        // Like an electric piano: the bell on top fades first.
        Voice::Keys => &[(1.0, 0.8, 1.2), (2.0, 0.25, 2.5), (4.0, 0.1, 6.0)],
        Voice::Lead => &[(1.0, 0.75, 1.6), (2.0, 0.2, 2.2), (3.0, 0.12, 3.0), (5.0, 0.04, 5.0)],
        Voice::Bass => &[(1.0, 0.9, 0.8), (2.0, 0.22, 2.0), (3.0, 0.06, 3.0)],
    }
}

fn play(mix: &mut [f32], note: &Note) {
    let frequency = 440.0 * ((note.pitch - 69) as f32 / 12.0).exp2();
    let (attack, release) = match note.voice {
        Voice::Keys => (0.012, 0.35),
        Voice::Lead => (0.015, 0.25),
        Voice::Bass => (0.008, 0.08),
    };
    let total = note.seconds + release;
    let start = sample_at(note.at);
    for (index, slot) in mix.iter_mut().skip(start).take(sample_at(total)).enumerate() {
        let time = index as f32 / RATE_F;
        let rise = (time / attack).min(1.0);
        let fall = ((total - time) / release).clamp(0.0, 1.0);
        // A slow vibrato sets in on held lead notes.
        let bend = match note.voice {
            Voice::Lead => 0.02 * (time * 2.0).min(1.0) * (TAU * 5.2 * time).sin(),
            _ => 0.0,
        };
        let phase = TAU * frequency * time + bend * TAU;
        let tone: f32 = timbre(note.voice)
            .iter()
            .filter(|(multiple, _, _)| frequency * multiple < RATE_F / 2.2)
            .map(|(multiple, share, decay)| share * (-decay * time).exp() * (phase * multiple).sin())
            .sum();
        *slot += note.gain * rise * fall * fall * tone;
    }
}

/// One repeat, quiet and a little dark, for a sense of room.
fn echo(mix: &mut [f32]) {
    let delay = sample_at(0.23);
    let mut dark = 0.0;
    for index in delay..mix.len() {
        dark += 0.35 * (mix[index - delay] - dark);
        mix[index] += 0.28 * dark;
    }
}

fn strike(mix: &mut [f32], hit: &Hit, dice: &mut Dice) {
    let seconds = match hit.drum {
        Drum::Kick => 0.22,
        Drum::Snare => 0.16,
        Drum::Hat => 0.045,
    };
    let mut before = 0.0;
    for (index, slot) in mix.iter_mut().skip(sample_at(hit.at)).take(sample_at(seconds)).enumerate() {
        let time = index as f32 / RATE_F;
        let left = 1.0 - time / seconds;
        let noise = 2.0 * dice.unit() - 1.0;
        let sound = match hit.drum {
            // A sine that falls from 130 to 45 Hz.
            Drum::Kick => (TAU * (45.0 * time + 85.0 * 0.03 * (1.0 - (-time / 0.03).exp()))).sin() * left * left,
            Drum::Snare => (0.6 * noise + 0.4 * (TAU * 185.0 * time).sin()) * left.powi(3),
            // Differences of noise are its highs alone.
            Drum::Hat => (noise - before) * left.powi(4),
        };
        before = noise;
        *slot += hit.gain * sound;
    }
}

/// Vinyl and tape: a low-pass, a faint hiss, a crackle now and then.
fn wear(mix: &mut [f32], dice: &mut Dice) {
    let mut warm = 0.0;
    for slot in mix {
        warm += 0.42 * (*slot - warm);
        let hiss = 0.004 * (dice.unit() - 0.5);
        let crackle = if dice.chance(0.0004) { 0.06 * (dice.unit() - 0.5) } else { 0.0 };
        *slot = warm * 1.15 + hiss + crackle;
    }
}

/// Brings the loudest peak to the same level in every piece, rounds it softly, and fades both ends.
fn master(mix: &[f32]) -> Vec<i16> {
    let peak = mix.iter().fold(0.01_f32, |peak, sample| peak.max(sample.abs()));
    let (fade_in, fade_out) = (sample_at(0.005), sample_at(0.4));
    mix.iter()
        .enumerate()
        .map(|(index, sample)| {
            let opened = (index as f32 / fade_in as f32).min(1.0);
            let closing = ((mix.len() - index) as f32 / fade_out as f32).min(1.0);
            let level = (1.4 * sample / peak).tanh() * opened * closing;
            (level * 0.9 * f32::from(i16::MAX)) as i16
        })
        .collect()
}
