//! Decides the notes of a piece: key, tempo, a four-chord turn, a bass under it, a melody that walks over it, and drums.

use super::{Dice, Mood, Seed};

/// Who plays a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    Keys,
    Lead,
    Bass,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drum {
    Kick,
    Snare,
    Hat,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Note {
    /// Seconds from the beginning.
    pub at: f32,
    pub seconds: f32,
    /// MIDI number: 69 is A4, 440 Hz.
    pub pitch: i32,
    pub gain: f32,
    pub voice: Voice,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    pub at: f32,
    pub gain: f32,
    pub drum: Drum,
}

pub(crate) struct Piece {
    pub seed: Seed,
    pub mood: Mood,
    pub notes: Vec<Note>,
    pub hits: Vec<Hit>,
    minor: bool,
    /// 0 is C.
    key: i32,
    music_seconds: f32,
}

const KEY_NAMES: [&str; 12] = ["C", "D flat", "D", "E flat", "E", "F", "G flat", "G", "A flat", "A", "B flat", "B"];
const MAJOR: [i32; 7] = [0, 2, 4, 5, 7, 9, 11];
const MINOR: [i32; 7] = [0, 2, 3, 5, 7, 8, 10];
/// Turns of four chords by scale degree, the well-worn ones.
const MAJOR_TURNS: [[i32; 4]; 4] = [[0, 4, 5, 3], [0, 5, 3, 4], [3, 4, 2, 5], [1, 4, 0, 5]];
const MINOR_TURNS: [[i32; 4]; 4] = [[0, 5, 2, 6], [0, 3, 6, 2], [0, 6, 5, 6], [5, 6, 0, 2]];
/// Degrees of the scale that a melody rests on without clashing.
const PENTATONIC_MAJOR: [i32; 5] = [0, 1, 2, 4, 5];
const PENTATONIC_MINOR: [i32; 5] = [0, 2, 3, 4, 6];
/// The last chord rings out.
const RELEASE_SECONDS: f32 = 0.9;
const LONGEST_MUSIC: f32 = 7.0;

impl Piece {
    pub(crate) fn of(seed: Seed) -> Self {
        let mut dice = Dice::new(seed);
        let mood = seed.mood();
        let (slowest, spread, minor_chance, swing) = match mood {
            Mood::Lofi => (72, 14, 0.6, 0.08),
            Mood::Bright => (100, 24, 0.05, 0.0),
            Mood::Calm => (70, 14, 0.5, 0.0),
            Mood::Driving => (116, 20, 0.8, 0.0),
        };
        let tempo = (slowest + dice.below(spread)) as f32;
        let beat = 60.0 / tempo;
        let minor = dice.chance(minor_chance);
        let key = dice.below(12) as i32;
        // A chord lasts half a bar; four of them are one turn, played as often as the length allows.
        let chord_seconds = 2.0 * beat;
        let turns = ((LONGEST_MUSIC / (4.0 * chord_seconds)) as usize).max(1);
        let turn = if minor { MINOR_TURNS } else { MAJOR_TURNS }[dice.below(4) as usize];
        let mut piece = Self {
            seed,
            mood,
            notes: Vec::new(),
            hits: Vec::new(),
            minor,
            key,
            music_seconds: chord_seconds * (4 * turns) as f32,
        };
        for index in 0..4 * turns {
            piece.chord(index as f32 * chord_seconds, chord_seconds, turn[index % 4]);
        }
        piece.melody(&mut dice, beat, swing);
        piece.drums(&mut dice, beat, swing);
        piece
    }

    /// How long the file is, the last chord's ringing included.
    pub(crate) fn seconds(&self) -> f32 {
        self.music_seconds + RELEASE_SECONDS
    }

    pub(crate) fn title(&self) -> String {
        let kind = match self.mood {
            Mood::Lofi => "Late Study",
            Mood::Bright => "Morning Song",
            Mood::Calm => "Still Water",
            Mood::Driving => "Night Drive",
        };
        format!("{kind} in {} {}", KEY_NAMES[self.key as usize], if self.minor { "Minor" } else { "Major" })
    }

    /// The pitch of a scale degree; degrees past 6 go on in the next octave.
    fn pitch(&self, degree: i32, octave: i32) -> i32 {
        let scale = if self.minor { MINOR } else { MAJOR };
        let index = degree.rem_euclid(7) as usize;
        12 * (octave + 1 + degree.div_euclid(7)) + self.key + scale[index]
    }

    fn chord(&mut self, at: f32, seconds: f32, degree: i32) {
        // Keys that lie high start an octave lower, so that every piece sits in the same register.
        let octave = if self.key > 6 { 3 } else { 4 };
        let sevenths = matches!(self.mood, Mood::Lofi | Mood::Calm);
        for (index, third) in [0, 2, 4, 6].into_iter().take(if sevenths { 4 } else { 3 }).enumerate() {
            // A soft roll of the hand.
            let at = at + index as f32 * if sevenths { 0.018 } else { 0.004 };
            let pitch = self.pitch(degree + third, octave);
            self.notes.push(Note { at, seconds: seconds * 1.05, pitch, gain: 0.16, voice: Voice::Keys });
        }
        let root = self.pitch(degree, octave - 2);
        let steps: &[(f32, f32)] = match self.mood {
            Mood::Driving => &[(0.0, 0.22), (0.25, 0.22), (0.5, 0.22), (0.75, 0.22)],
            Mood::Calm => &[(0.0, 0.95)],
            Mood::Lofi | Mood::Bright => &[(0.0, 0.6), (0.75, 0.2)],
        };
        for (start, share) in steps {
            let (at, seconds) = (at + start * seconds, share * seconds);
            self.notes.push(Note { at, seconds, pitch: root, gain: 0.34, voice: Voice::Bass });
        }
    }

    /// A walk over the pentatonic scale by small steps, with rests, a motif that comes back, and the tonic at the end.
    fn melody(&mut self, dice: &mut Dice, beat: f32, swing: f32) {
        let scale = if self.minor { PENTATONIC_MINOR } else { PENTATONIC_MAJOR };
        let octave = if self.key > 6 { 4 } else { 5 };
        let density = match self.mood {
            Mood::Calm => 0.4,
            Mood::Lofi => 0.55,
            Mood::Bright => 0.7,
            Mood::Driving => 0.75,
        };
        let steps = (self.music_seconds / (beat / 2.0)).round() as usize;
        // One motif of eight eighths; its second half is varied each time it returns.
        let mut place = dice.below(4) as i32;
        let mut motif = [None; 8];
        for (index, slot) in motif.iter_mut().enumerate() {
            place = (place + dice.below(5) as i32 - 2).clamp(-2, 6);
            *slot = (index == 0 || dice.chance(density)).then_some(place);
        }
        for step in 0..steps {
            let mut wanted = motif[step % 8];
            if step >= 8 && step % 8 >= 4 && dice.chance(0.5) {
                wanted = wanted.map(|place| (place + dice.below(3) as i32 - 1).clamp(-2, 6));
            }
            if step + 2 >= steps {
                wanted = (step + 2 == steps).then_some(0);
            }
            let Some(place) = wanted else { continue };
            let late = if step % 2 == 1 { swing * beat } else { 0.0 };
            let degree = scale[place.rem_euclid(5) as usize] + 7 * place.div_euclid(5);
            let seconds = beat * if step + 2 == steps { 2.0 } else { 0.5 + 0.5 * dice.unit() };
            self.notes.push(Note {
                at: step as f32 * beat / 2.0 + late,
                seconds,
                pitch: self.pitch(degree, octave),
                gain: 0.2 + 0.08 * dice.unit(),
                voice: Voice::Lead,
            });
        }
    }

    fn drums(&mut self, dice: &mut Dice, beat: f32, swing: f32) {
        if self.mood == Mood::Calm {
            return;
        }
        let steps = (self.music_seconds / (beat / 2.0)).round() as usize;
        for step in 0..steps {
            let at = step as f32 * beat / 2.0 + if step % 2 == 1 { swing * beat } else { 0.0 };
            let kick = match self.mood {
                Mood::Driving => step % 2 == 0,
                _ => step % 8 == 0 || step % 8 == 5 || (step % 8 == 3 && dice.chance(0.2)),
            };
            if kick {
                self.hits.push(Hit { at, gain: 0.55, drum: Drum::Kick });
            }
            if step % 4 == 2 {
                self.hits.push(Hit { at, gain: 0.26, drum: Drum::Snare });
            }
            let gain = if step % 2 == 0 { 0.07 } else { 0.1 } * (0.7 + 0.6 * dice.unit());
            self.hits.push(Hit { at, gain, drum: Drum::Hat });
        }
    }
}
