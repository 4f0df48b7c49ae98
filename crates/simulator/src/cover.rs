//! A small SVG cover, drawn from the piece: its mood gives the colours, its notes the picture.

use crate::music::{Mood, Seed};
use std::fmt::Write;

const SIZE: f32 = 256.0;

/// A square picture of a few kilobytes.
pub(crate) fn paint(seed: Seed) -> String {
    let piece = seed.compose();
    let (from, to, ink) = match piece.mood {
        Mood::Lofi => ("#2b2140", "#7d5a7a", "#f4d9b0"),
        Mood::Bright => ("#ffb347", "#ff6f91", "#fff8e7"),
        Mood::Calm => ("#12343b", "#5fa8a3", "#e1f4f3"),
        Mood::Driving => ("#0d0221", "#d8315b", "#3ddbd9"),
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIZE} {SIZE}\"><defs>\
         <linearGradient id=\"g\" x2=\"0\" y2=\"1\"><stop stop-color=\"{from}\"/><stop offset=\"1\" stop-color=\"{to}\"/>\
         </linearGradient></defs><rect width=\"{SIZE}\" height=\"{SIZE}\" fill=\"url(#g)\"/>"
    );
    for note in &piece.notes {
        let x = note.at / piece.seconds() * SIZE;
        let y = SIZE - (note.pitch - 24) as f32 / 72.0 * SIZE;
        let width = (note.seconds / piece.seconds() * SIZE).max(3.0);
        // Writing to a String cannot fail.
        let _ = write!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"5\" rx=\"2.5\" fill=\"{ink}\" opacity=\"{:.2}\"/>",
            (note.gain * 2.2).min(0.9)
        );
    }
    svg.push_str("</svg>");
    svg
}
