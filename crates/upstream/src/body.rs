//! Reading an upstream's JSON: every field optional, every type doubted. What cannot be read is absent, never an error.

use domain::generation::{Output, Track};
use serde_json::Value;
use std::time::Duration;

/// The longest text that is taken over into an output.
const TEXT_LONGEST: usize = 2_048;
const TRACKS_MOST: usize = 16;
const ID_LONGEST: usize = 200;
const REMAINING_LONGEST: f64 = 86_400.0;

/// The first of the fields that holds a text; numbers count as their digits.
pub(crate) fn text(value: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match value.get(name)? {
        Value::String(text) => {
            let text = text.trim();
            (!text.is_empty() && text.len() <= TEXT_LONGEST && !text.contains('\0')).then(|| text.to_owned())
        }
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// The first of the fields that holds a finite number; texts of one count.
pub(crate) fn number(value: &Value, names: &[&str]) -> Option<f64> {
    names.iter().find_map(|name| {
        let found = value.get(name)?;
        found.as_f64().or_else(|| found.as_str()?.trim().parse().ok()).filter(|n: &f64| n.is_finite())
    })
}

/// 0 to 1, whether the upstream counts so or in per cent.
pub(crate) fn fraction(value: &Value, names: &[&str]) -> Option<f32> {
    let found = number(value, names)?;
    let found = if found > 1.0 { found / 100.0 } else { found };
    #[expect(clippy::cast_possible_truncation, reason = "0 to 1")]
    Some(found.clamp(0.0, 1.0) as f32)
}

/// How long the upstream thinks that a render still takes.
pub(crate) fn remaining(value: &Value) -> Option<Duration> {
    number(value, &["estimated_time", "estimated_seconds"])
        .map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, REMAINING_LONGEST)))
}

/// The upstream's name for a job, if it is one that can be asked for later.
pub(crate) fn job_id(value: &Value, names: &[&str]) -> Option<String> {
    text(value, names)
        .filter(|id| id.len() <= ID_LONGEST && id.bytes().all(|b| b.is_ascii_graphic()) && !matches!(&**id, "." | ".."))
}

fn url(value: &Value, names: &[&str]) -> Option<String> {
    text(value, names).filter(|url| url.starts_with("https://") || url.starts_with("http://"))
}

fn track(value: &Value, fallback_id: &str, index: usize) -> Option<Track> {
    Some(Track {
        audio_url: url(value, &["audio_url", "audioUrl", "sourceAudioUrl", "url"])?,
        id: text(value, &["id", "clip_id"]).unwrap_or_else(|| format!("{fallback_id}-{}", index + 1)),
        image_url: url(value, &["image_url", "imageUrl", "sourceImageUrl"]),
        title: text(value, &["title"]),
        duration_seconds: number(value, &["duration", "duration_seconds"]).unwrap_or(0.0).max(0.0),
    })
}

/// The tracks of a finished job: a list of them, or one spread over the body. `None` when there is not one with an address.
pub(crate) fn output(value: &Value, list: &[&str], upstream_id: &str) -> Option<Output> {
    let listed = list.iter().find_map(|name| value.get(name)?.as_array());
    let tracks: Vec<Track> = match listed {
        Some(items) if !items.is_empty() => {
            let read = items.iter().take(TRACKS_MOST).enumerate();
            read.filter_map(|(index, item)| track(item, upstream_id, index)).collect()
        }
        _ => track(value, upstream_id, 0).map(|t| Track { id: upstream_id.to_owned(), ..t }).into_iter().collect(),
    };
    (!tracks.is_empty()).then_some(Output { tracks })
}

/// Whether an error says that moderation refused: by a code where there is one, by its words where there is not.
pub(crate) fn is_moderation(value: &Value) -> bool {
    fn speaks(value: &Value, depth: u8) -> bool {
        match value {
            Value::String(text) => {
                let text = text.get(..text.len().min(512)).unwrap_or_default().to_ascii_lowercase();
                ["moderat", "content_policy", "content policy", "sensitive", "copyright"]
                    .iter()
                    .any(|w| text.contains(w))
            }
            Value::Object(map) if depth > 0 => ["code", "type", "error", "reason", "message", "detail", "errorCode"]
                .iter()
                .any(|name| map.get(*name).is_some_and(|inner| speaks(inner, depth - 1))),
            _ => false,
        }
    }
    speaks(value, 3)
}
