//! `Retry-After`: seconds or an HTTP date, read defensively. Clamping is the domain's (`retry::clamp`).

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use std::time::Duration;

/// Nobody means more than a day.
const LONGEST: u64 = 86_400;

fn date(headers: &HeaderMap, name: HeaderName) -> Option<DateTime<Utc>> {
    let text = headers.get(name)?.to_str().ok()?;
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|at| at.with_timezone(&Utc))
}

/// `None` when there is none, or none that makes sense. A date in the past is zero.
pub(crate) fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a u64 holds are still "very long".
        return Some(Duration::from_secs(text.parse::<u64>().unwrap_or(LONGEST).min(LONGEST)));
    }
    let until = date(headers, RETRY_AFTER)?;
    // The upstream's own idea of now is the right one to subtract; ours serves where it names none.
    #[expect(clippy::disallowed_methods, reason = "an HTTP date is wall-clock time and this is the edge")]
    let now = date(headers, DATE).unwrap_or_else(Utc::now);
    let seconds = u64::try_from((until - now).num_seconds()).unwrap_or(0);
    Some(Duration::from_secs(seconds.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        of(&headers).map(|d| d.as_secs())
    }

    #[test]
    fn seconds_dates_and_garbage() {
        assert_eq!(read("7", None), Some(7));
        assert_eq!(read("0", None), Some(0));
        assert_eq!(read("99999999999999999999999", None), Some(LONGEST));
        for garbage in ["-1", "abc", "", "1.5", "Sun, 99 Nov 1994"] {
            assert_eq!(read(garbage, None), None, "{garbage}");
        }
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(10));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:27 GMT", now), Some(0));
        assert_eq!(read("Fri, 31 Dec 9999 23:59:59 GMT", None), Some(LONGEST));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT", None), Some(0));
    }
}
