//! Times, spans and numbers as people read them.

use chrono::SecondsFormat;
use domain::Timestamp;
use maud::{Markup, html};

/// `now`: the ledger's, so that a wrong clock of the browser does not lie.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    let seconds = (now - at).as_seconds_f64();
    let text = match seconds {
        s if s < -1.0 => format!("in {}", span(-s)),
        s if s < 2.0 => "just now".to_owned(),
        s => format!("{} ago", span(s)),
    };
    html! { time datetime=(exact(at)) title=(exact(at)) { (text) } }
}

pub(super) fn exact(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The time of day, to the second.
pub(super) fn clock(at: Timestamp) -> String {
    at.format("%H:%M:%S UTC").to_string()
}

/// `seconds` in its two largest units at most.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 0.0995 => format!("{:.0} ms", s.max(0.0) * 1_000.0),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5_400.0 => format!("{} min {:02} s", (s / 60.0) as u64, (s % 60.0) as u64),
        s if s < 172_800.0 => format!("{} h {:02} min", (s / 3_600.0) as u64, (s % 3_600.0 / 60.0) as u64),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// With thin spaces between thousands.
pub(super) fn count(number: impl Into<i128>) -> String {
    let number: i128 = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    if number < 0 { format!("−{text}") } else { text }
}

pub(super) fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.0995 { format!("{:.1} %", share * 100.0) } else { format!("{:.0} %", share * 100.0) }
}

/// The first so many characters.
pub(super) fn clip(text: &str, most: usize) -> String {
    let mut clipped: String = text.chars().take(most).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

/// An id by its ends: enough to tell two apart.
pub(super) fn short(id: &str) -> String {
    let tail: String = id.chars().rev().take(6).collect::<Vec<_>>().into_iter().rev().collect();
    id.split_once('_').map_or_else(|| clip(id, 14), |(prefix, _)| format!("{prefix}_…{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_can_read_it() {
        let spans = [0.0, 0.04, 3.21, 61.0, 125.0, 7_260.0, 300_000.0].map(span);
        assert_eq!(spans, ["0 ms", "40 ms", "3.2 s", "61 s", "2 min 05 s", "2 h 01 min", "3 days"]);
        assert_eq!([count(7), count(1_234), count(-1_000_000)], ["7", "1\u{202f}234", "−1\u{202f}000\u{202f}000"]);
        assert_eq!([percent(0.0), percent(0.012), percent(0.5)], ["0 %", "1.2 %", "50 %"]);
        assert_eq!([clip("abcdef", 3), clip("äöü", 3)], ["abc…", "äöü"]);
        assert_eq!(short("gen_01k000000000000000000abcdef"), "gen_…abcdef");
    }
}
