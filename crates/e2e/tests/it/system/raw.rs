//! HTTP as no client library would send it: bytes out, one answer in.

use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;

/// An answer beyond this is none of ours.
const ANSWER_LARGEST: u64 = 1024 * 1024;
/// A server that closes with something unread resets the connection, and the reset may overtake the answer.
const TRIES: usize = 3;

#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl RawAnswer {
    /// Its body, where it is JSON; null otherwise.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The final answer of a connection that was then closed; `None` when there was none.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        // `100 Continue` comes before the answer and is none.
        if (100..200).contains(&status) {
            return Self::parse(body.as_bytes());
        }
        Some(Self { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// Sends `request` on a connection of its own and reads until the server closes it. `request` must ask for that.
    ///
    /// `None` when the server closed without an answer.
    ///
    /// # Errors
    /// When that takes longer than `longest`.
    pub(crate) async fn to(authority: &str, request: &[u8], longest: Duration) -> Result<Option<Self>, Elapsed> {
        for _ in 0..TRIES {
            let (answer, broken) = tokio::time::timeout(longest, exchange(authority, request)).await?;
            if answer.is_some() || !broken {
                return Ok(answer);
            }
        }
        Ok(None)
    }
}

/// The answer, and whether the connection broke rather than ended.
async fn exchange(authority: &str, request: &[u8]) -> (Option<RawAnswer>, bool) {
    let stream = TcpStream::connect(authority).await.unwrap();
    let (reading, mut writing) = stream.into_split();
    let mut bytes = Vec::new();
    let mut reading = reading.take(ANSWER_LARGEST);
    // A server may refuse before it has read all: what cannot be written any more does not matter.
    let (_, read) = tokio::join!(writing.write_all(request), reading.read_to_end(&mut bytes));
    (RawAnswer::parse(&bytes), read.is_err())
}
