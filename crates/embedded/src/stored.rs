//! How values are stored: moments as microseconds since 1970, words as the domain names them, JSON as text, ids as 16 bytes.

use crate::outcome::{Outcome, Unwell};
use chrono::DateTime;
use domain::Timestamp;
use domain::page::PageRequest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use uuid::Uuid;

/// Nothing is due later than this from now: sums of moments stay far from what a moment can be.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

pub(crate) const fn micros(at: Timestamp) -> i64 {
    at.timestamp_micros()
}

/// The moment this long after `at`.
pub(crate) fn later(at: Timestamp, by: Duration) -> i64 {
    micros(at).saturating_add(i64::try_from(by.min(LONGEST).as_micros()).unwrap_or(i64::MAX))
}

/// The moment this long before `at`.
pub(crate) fn earlier(at: Timestamp, by: Duration) -> i64 {
    micros(at).saturating_sub(i64::try_from(by.min(LONGEST).as_micros()).unwrap_or(i64::MAX))
}

pub(crate) fn moment(micros: i64) -> Outcome<Timestamp> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| Unwell::corrupt("a moment out of range"))
}

pub(crate) fn moment_or_epoch(micros: i64) -> Timestamp {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
}

pub(crate) fn perhaps(micros: Option<i64>) -> Outcome<Option<Timestamp>> {
    micros.map(moment).transpose()
}

/// A stored word, parsed by the domain's own list.
pub(crate) fn word<T>(parse: impl FnOnce(&str) -> Option<T>, stored: &str) -> Outcome<T> {
    parse(stored).ok_or_else(|| Unwell::corrupt(format!("the word `{stored}`")))
}

/// A stored number in the range that the domain gives it.
pub(crate) fn number<T: TryFrom<i64>>(stored: i64) -> Outcome<T> {
    T::try_from(stored).map_err(|_| Unwell::corrupt("a number out of range"))
}

pub(crate) fn bytes<const N: usize>(stored: &[u8]) -> Outcome<[u8; N]> {
    stored.try_into().map_err(|_| Unwell::corrupt("bytes of another length"))
}

pub(crate) fn to_json(value: &impl Serialize) -> Outcome<String> {
    serde_json::to_string(value).map_err(|error| Unwell::corrupt(error.to_string()))
}

pub(crate) fn from_json<T: DeserializeOwned>(stored: &str) -> Outcome<T> {
    serde_json::from_str(stored).map_err(|error| Unwell::corrupt(error.to_string()))
}

/// A list of ids for `select unhex(value) from json_each(?)`: SQLite binds no arrays.
pub(crate) fn id_list(ids: impl IntoIterator<Item = Uuid>) -> Outcome<String> {
    to_json(&ids.into_iter().map(|id| id.simple().to_string()).collect::<Vec<_>>())
}

/// What the ids of a page's rows are less than: the last id of the page before, or more than any id.
pub(crate) fn below(page: PageRequest) -> Vec<u8> {
    page.after.map_or_else(|| vec![0xff; 17], |id| id.as_bytes().to_vec())
}
