//! A JSON object read field by field: each wrong type and each unknown field is named by its pointer, all of them at once.
//!
//! Absent and `null` are the same. Values are never repeated in what is said of them.

use crate::json::escape;
use crate::problem::ApiError;
use chrono::{DateTime, Datelike, Utc};
use domain::Timestamp;
use domain::request::Violation;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

#[derive(Debug, Default)]
pub(crate) struct Fields {
    base: String,
    map: Map<String, Value>,
    broken: Vec<Violation>,
}

impl Fields {
    /// `base`: the pointer of the object itself, empty for the body.
    pub(crate) fn of(value: Value, base: &str) -> Self {
        let base = base.to_owned();
        match value {
            Value::Object(map) => Self { base, map, broken: Vec::new() },
            _ => {
                let broken = vec![Violation::at(&base, "must be an object")];
                Self { base, map: Map::new(), broken }
            }
        }
    }

    /// SHA-256 of the object with its names sorted: the same for every way to write it.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut value = Value::Object(self.map.clone());
        value.sort_all_objects();
        Sha256::digest(value.to_string()).into()
    }

    pub(crate) fn pointer(&self, name: &str) -> String {
        format!("{}/{}", self.base, escape(name))
    }

    pub(crate) fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        let pointer = self.pointer(name);
        self.broken.push(Violation::at(&pointer, detail));
    }

    pub(crate) fn refuse_all(&mut self, violations: Vec<Violation>) {
        self.broken.extend(violations);
    }

    /// Whether the field is there, `null` included.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// Whether the field is there and not `null`.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    fn take<T>(&mut self, name: &str, kind: &str, read: impl FnOnce(Value) -> Option<T>) -> Option<T> {
        let value = self.map.shift_remove(name).filter(|value| !value.is_null())?;
        let read = read(value);
        if read.is_none() {
            self.refuse(name, format!("must be {kind}"));
        }
        read
    }

    pub(crate) fn string(&mut self, name: &str) -> Option<String> {
        self.take(name, "a string", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    /// A string of `1..=longest` characters after trimming, without U+0000.
    pub(crate) fn text(&mut self, name: &str, longest: usize) -> Option<String> {
        let text = self.string(name)?;
        let trimmed = text.trim();
        if !(1..=longest).contains(&trimmed.chars().count()) {
            self.refuse(name, format!("must have 1 to {longest} characters after trimming"));
            None
        } else if trimmed.contains('\0') {
            self.refuse(name, "must not contain U+0000");
            None
        } else {
            Some(trimmed.to_owned())
        }
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.take(name, "true or false", |value| value.as_bool())
    }

    /// JSON Schema's integer: `60.0` is one.
    pub(crate) fn integer(&mut self, name: &str) -> Option<i64> {
        self.take(name, "an integer", |value| {
            value.as_i64().or_else(|| {
                let float = value.as_f64().filter(|float| float.fract() == 0.0)?;
                // Every double in this range is exact; what is beyond is beyond every rule here too.
                Some(float.clamp(-9e15, 9e15) as i64)
            })
        })
    }

    pub(crate) fn integer_in(&mut self, name: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let value = self.integer(name)?;
        if range.contains(&value) {
            return Some(value);
        }
        self.refuse(name, format!("must be {} to {}", range.start(), range.end()));
        None
    }

    pub(crate) fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        self.take(name, "an object", |value| match value {
            Value::Object(map) => Some(map),
            _ => None,
        })
    }

    pub(crate) fn array(&mut self, name: &str) -> Option<Vec<Value>> {
        self.take(name, "an array", |value| match value {
            Value::Array(list) => Some(list),
            _ => None,
        })
    }

    pub(crate) fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.take(name, "a time as in RFC 3339", |value| moment(value.as_str()?))
    }

    /// One of a closed set of words.
    pub(crate) fn word<T>(&mut self, name: &str, words: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.string(name)?;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.refuse(name, format!("must be one of {words}"));
        }
        parsed
    }

    /// What is broken so far, fields that nobody asked for included.
    pub(crate) fn broken(mut self) -> Vec<Violation> {
        let unknown: Vec<String> = self.map.keys().map(|name| self.pointer(name)).collect();
        self.broken.extend(unknown.iter().map(|pointer| Violation::at(pointer, "is not a field of this request")));
        self.broken
    }

    /// 422 unless every rule was kept.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        let broken = self.broken();
        if broken.is_empty() { Ok(()) } else { Err(ApiError::invalid(broken)) }
    }
}

/// RFC 3339, of a year that every store can hold.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    let at = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    (1..=9999).contains(&at.year()).then_some(at)
}
