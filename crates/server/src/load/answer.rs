//! One HTTP/1.1 answer out of the bytes received so far.
//!
//! It reads what our gateway sends: a status, headers, a body of `Content-Length`. Chunked bodies, which it never sends to these calls, are
//! named as an error rather than misread.

use super::wire::WireError;
use std::ops::Range;

const HEAD_LARGEST: usize = 16 * 1024;
const BODY_LARGEST: usize = 1024 * 1024;

/// Where the parts of a whole answer are in the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) status: u16,
    pub(super) location: Option<Range<usize>>,
    pub(super) body: Range<usize>,
    /// The server closes the connection after it.
    pub(super) closes: bool,
}

/// The answer, once all of it is there; `None`: read on.
///
/// # Errors
/// [`WireError::Garbled`] when it is none, or larger than anything that is expected.
pub(super) fn whole(bytes: &[u8]) -> Result<Option<Whole>, WireError> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_LARGEST { Err(WireError::Garbled("an endless head")) } else { Ok(None) };
    };
    let text = std::str::from_utf8(&bytes[..head]).map_err(|_| WireError::Garbled("a head that is not text"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|line| line.get(..3));
    let status: u16 =
        status.and_then(|status| status.parse().ok()).ok_or(WireError::Garbled("no status of HTTP/1.1"))?;
    let (mut length, mut location, mut closes) = (None, None, false);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<usize>().map_err(|_| WireError::Garbled("a Content-Length"))?);
        } else if name.eq_ignore_ascii_case("location") {
            let start = value.as_ptr().addr() - bytes.as_ptr().addr();
            location = Some(start..start + value.len());
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(WireError::Garbled("a chunked body"));
        }
    }
    let length = match (length, status) {
        (_, 204 | 304) => 0,
        (Some(length), _) if length <= BODY_LARGEST => length,
        (Some(_), _) => return Err(WireError::Garbled("a huge body")),
        (None, _) => return Err(WireError::Garbled("no Content-Length")),
    };
    let body = head + 4..head + 4 + length;
    if bytes.len() > body.end {
        return Err(WireError::Garbled("more than one answer"));
    }
    Ok((bytes.len() == body.end).then_some(Whole { status, location, body, closes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\nLocation: /v1/generations/gen_1\r\n\r\n{}";

    #[test]
    fn an_answer_is_whole_when_its_last_byte_is_there() {
        for cut in 0..ACCEPTED.len() {
            assert_eq!(whole(&ACCEPTED[..cut]).unwrap(), None, "{cut} bytes");
        }
        let answer = whole(ACCEPTED).unwrap().unwrap();
        assert_eq!((answer.status, answer.closes), (202, false));
        assert_eq!(&ACCEPTED[answer.location.unwrap()], b"/v1/generations/gen_1");
        assert_eq!(&ACCEPTED[answer.body], b"{}");
    }

    #[test]
    fn an_answer_may_have_no_body_and_close() {
        let answer = whole(b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n").unwrap().unwrap();
        assert_eq!((answer.status, answer.closes, answer.body.is_empty()), (304, true, true));
    }

    #[test]
    fn what_is_no_answer_of_ours_is_named() {
        for (bytes, reason) in [
            (&b"SSH-2.0-x\r\n\r\n"[..], "no status of HTTP/1.1"),
            (b"HTTP/1.1 200 OK\r\n\r\n", "no Content-Length"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "a chunked body"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n", "a huge body"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nx", "more than one answer"),
        ] {
            assert!(matches!(whole(bytes), Err(WireError::Garbled(said)) if said == reason), "{reason}");
        }
        assert!(whole(&[b'x'; HEAD_LARGEST + 1]).is_err());
    }
}
