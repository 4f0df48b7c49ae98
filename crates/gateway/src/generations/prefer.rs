//! `Prefer: wait` (RFC 7240): hold the request open until the generation ends, or for so many seconds.

use actix_web::http::header::HeaderMap;
use domain::request::{Place, Violation};
use std::time::Duration;

const LONGEST: u64 = 60;

/// How long to hold the request; `None` when it is not asked for. More than 60 s is taken as 60; other preferences are left aside.
pub(crate) fn wait(headers: &HeaderMap) -> Result<Option<Duration>, Violation> {
    let broken = || Violation { place: Place::Header("Prefer"), detail: "wait must be whole seconds".to_owned() };
    for value in headers.get_all("prefer") {
        let text = value.to_str().map_err(|_| broken())?;
        for preference in text.split([',', ';']).map(str::trim) {
            let (name, seconds) = match preference.split_once('=') {
                Some((name, seconds)) => (name.trim_end(), Some(seconds.trim().trim_matches('"'))),
                None => (preference, None),
            };
            if !name.eq_ignore_ascii_case("wait") {
                continue;
            }
            let seconds = match seconds {
                None => LONGEST,
                Some(digits) if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) => {
                    return Err(broken());
                }
                // More digits than a number holds are more than 60, too.
                Some(digits) => digits.parse().unwrap_or(LONGEST),
            };
            return Ok(Some(Duration::from_secs(seconds.min(LONGEST))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn seconds(value: &str) -> Result<Option<u64>, ()> {
        let mut headers = HeaderMap::new();
        headers.append(HeaderName::from_static("prefer"), HeaderValue::from_str(value).unwrap());
        wait(&headers).map(|wait| wait.map(|wait| wait.as_secs())).map_err(|_| ())
    }

    #[test]
    fn waiting_is_clamped_to_a_minute() {
        assert_eq!(seconds("wait"), Ok(Some(60)));
        assert_eq!(seconds("respond-async, wait=10"), Ok(Some(10)));
        assert_eq!(seconds("Wait=0"), Ok(Some(0)));
        assert_eq!(seconds("wait=99999999999999999999999"), Ok(Some(60)));
        assert_eq!(seconds("return=minimal"), Ok(None));
        for wrong in ["wait=", "wait=-1", "wait=1.5", "wait=soon"] {
            assert_eq!(seconds(wrong), Err(()), "{wrong}");
        }
    }
}
