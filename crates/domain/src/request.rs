//! What a customer asks for: parsed once at the edge, valid ever after.
//!
//! [`Draft`] holds what the body said, field by field; [`GenerationRequest::parse`] is the only door to a request, and it names every
//! field that breaks a rule. Whether the tier allows it is the tier's business ([`crate::tier::TierLimits::check`]).

use crate::tier::Quality;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

pub const PROMPT_LONGEST: usize = 3_000;
pub const TITLE_LONGEST: usize = 200;
pub const STYLE_LONGEST: usize = 1_000;
pub const LYRICS_LONGEST: usize = 10_000;
pub const METADATA_MOST: usize = 16;
pub const METADATA_BYTES: usize = 4_096;
/// The longest any tier may allow.
pub const DURATION_LONGEST: i64 = 600;
/// What is taken when nobody says.
pub const DURATION_USUAL: i64 = 60;

/// Where a rule was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A JSON Pointer into the body.
    Pointer(String),
    /// A query parameter.
    Parameter(&'static str),
    /// A request header.
    Header(&'static str),
}

/// One broken rule. The detail states the rule and never repeats the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub place: Place,
    pub detail: String,
}

impl Violation {
    pub fn at(pointer: &str, detail: impl Into<String>) -> Self {
        Self { place: Place::Pointer(pointer.to_owned()), detail: detail.into() }
    }
}

/// The fields as the body gave them; absent and `null` are the same.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    pub prompt: Option<String>,
    pub title: Option<String>,
    pub style: Option<String>,
    pub lyrics: Option<String>,
    pub instrumental: Option<bool>,
    pub duration_seconds: Option<i64>,
    pub quality: Option<String>,
    pub metadata: Option<Map<String, Value>>,
}

/// A valid request. Its JSON form is what the ledger stores and what the idempotency fingerprint is taken of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationRequest {
    pub prompt: String,
    pub title: Option<String>,
    pub style: Option<String>,
    pub lyrics: Option<String>,
    pub instrumental: bool,
    pub duration_seconds: u32,
    pub quality: Quality,
    /// At most [`METADATA_MOST`] string values, in the customer's order.
    pub metadata: Map<String, Value>,
}

fn text(value: Option<String>, pointer: &str, longest: usize, broken: &mut Vec<Violation>) -> Option<String> {
    let value = value?;
    let trimmed = value.trim();
    let length = trimmed.chars().count();
    if length == 0 || length > longest {
        broken.push(Violation::at(pointer, format!("must have 1 to {longest} characters after trimming")));
    } else if trimmed.contains('\0') {
        broken.push(Violation::at(pointer, "must not contain U+0000"));
    } else {
        return Some(trimmed.to_owned());
    }
    None
}

fn metadata(map: Map<String, Value>, broken: &mut Vec<Violation>) -> Map<String, Value> {
    if map.len() > METADATA_MOST {
        broken.push(Violation::at("/metadata", format!("must have at most {METADATA_MOST} values")));
        return Map::new();
    }
    let mut bytes = 0;
    for (key, value) in &map {
        // RFC 6901: `~` and `/` are escaped in a pointer.
        let pointer = format!("/metadata/{}", key.replace('~', "~0").replace('/', "~1"));
        match value {
            _ if key.contains('\0') => broken.push(Violation::at("/metadata", "names must not contain U+0000")),
            Value::String(text) if text.contains('\0') => {
                broken.push(Violation::at(&pointer, "must not contain U+0000"))
            }
            Value::String(text) => bytes += key.len() + text.len(),
            _ => broken.push(Violation::at(&pointer, "must be a string")),
        }
    }
    if bytes > METADATA_BYTES {
        broken.push(Violation::at("/metadata", format!("must have at most {METADATA_BYTES} bytes in all")));
    }
    map
}

impl GenerationRequest {
    pub fn parse(draft: Draft) -> Result<Self, Vec<Violation>> {
        let mut broken = Vec::new();
        let missing = draft.prompt.is_none();
        let prompt = text(draft.prompt, "/prompt", PROMPT_LONGEST, &mut broken);
        if missing {
            broken.push(Violation::at("/prompt", "is required"));
        }
        let title = text(draft.title, "/title", TITLE_LONGEST, &mut broken);
        let style = text(draft.style, "/style", STYLE_LONGEST, &mut broken);
        let lyrics = text(draft.lyrics, "/lyrics", LYRICS_LONGEST, &mut broken);
        let seconds = draft.duration_seconds.unwrap_or(DURATION_USUAL);
        if !(1..=DURATION_LONGEST).contains(&seconds) {
            broken.push(Violation::at("/duration_seconds", format!("must be 1 to {DURATION_LONGEST}")));
        }
        let quality = draft.quality.map_or(Some(Quality::Standard), |name| Quality::parse(&name));
        if quality.is_none() {
            broken.push(Violation::at("/quality", "must be one of standard, high, premium, enterprise"));
        }
        let metadata = metadata(draft.metadata.unwrap_or_default(), &mut broken);
        match (prompt, quality, u32::try_from(seconds)) {
            (Some(prompt), Some(quality), Ok(duration_seconds)) if broken.is_empty() => Ok(Self {
                prompt,
                title,
                style,
                lyrics,
                instrumental: draft.instrumental.unwrap_or(false),
                duration_seconds,
                quality,
                metadata,
            }),
            _ => Err(broken),
        }
    }
}

/// `Cancel-After`: how long after acceptance the customer gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelAfter(Duration);

impl CancelAfter {
    pub const USUAL: Self = Self(Duration::from_secs(3_600));

    /// `90s`, `10m` or `2h`; 5 s to 24 h.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let scale = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let seconds = digits.parse::<u64>().ok()? * scale;
        (5..=86_400).contains(&seconds).then(|| Self(Duration::from_secs(seconds)))
    }

    pub const fn duration(self) -> Duration {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(draft: Draft) -> Vec<String> {
        GenerationRequest::parse(draft)
            .unwrap_err()
            .into_iter()
            .map(|v| match v.place {
                Place::Pointer(p) => p,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn every_broken_field_is_named() {
        let draft = Draft {
            prompt: Some("  ".into()),
            title: Some("x".repeat(201)),
            style: Some("a\0b".into()),
            duration_seconds: Some(601),
            quality: Some("best".into()),
            metadata: Some(serde_json::from_str(r#"{"a/b":1,"ok":"yes"}"#).unwrap()),
            ..Draft::default()
        };
        assert_eq!(pointers(draft), ["/prompt", "/title", "/style", "/duration_seconds", "/quality", "/metadata/a~1b"]);
        assert_eq!(pointers(Draft::default()), ["/prompt"]);
    }

    #[test]
    fn lengths_count_characters_after_trimming() {
        let draft = Draft { prompt: Some(format!("  {}  ", "é".repeat(3_000))), ..Draft::default() };
        assert_eq!(GenerationRequest::parse(draft).unwrap().prompt.chars().count(), 3_000);
        assert_eq!(pointers(Draft { prompt: Some("é".repeat(3_001)), ..Draft::default() }), ["/prompt"]);
    }

    #[test]
    fn cancel_after_is_five_seconds_to_a_day() {
        assert_eq!(CancelAfter::parse("10m").map(CancelAfter::duration), Some(Duration::from_secs(600)));
        for text in ["", "s", "4s", "25h", "1441m", "1.5h", "-5m", "10", "10 m", "9999999s", "é"] {
            assert_eq!(CancelAfter::parse(text), None, "{text}");
        }
    }
}
