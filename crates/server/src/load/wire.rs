//! A kept connection to a gateway: one request, one answer, no copies that are not needed.
//!
//! Plain HTTP alone, and no retries: a request that failed is a figure.

use super::answer::{self, Whole};
use anyhow::{Context, bail};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For one request, connecting included.
pub(super) const CALL_LONGEST: Duration = Duration::from_secs(30);
const READ_AT_ONCE: usize = 8 * 1024;

/// Where a gateway listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// As the header `Host` has it.
    pub(super) host: String,
    socket: String,
}

impl Address {
    /// `http://host[:port]`.
    pub(super) fn parse(url: &str) -> anyhow::Result<Self> {
        let host = url.strip_prefix("http://").with_context(|| format!("{url}: the load goes to http:// alone"))?;
        let host = host.trim_end_matches('/');
        if host.is_empty() || host.contains(['/', '@', '?', '#']) || host.contains(char::is_whitespace) {
            bail!("{url}: must be http://host:port");
        }
        let after_brackets = host.rsplit(']').next().unwrap_or(host);
        let has_port = after_brackets.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let socket = if has_port { host.to_owned() } else { format!("{host}:80") };
        Ok(Self { host: host.to_owned(), socket })
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("no connection: {0}")]
    Unreachable(std::io::Error),
    #[error("the connection broke: {0}")]
    Broken(std::io::Error),
    #[error("the connection was closed before the answer")]
    Closed,
    #[error("no answer within {} s", CALL_LONGEST.as_secs())]
    TimedOut,
    #[error("not an answer of the gateway: {0}")]
    Garbled(&'static str),
}

#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) location: Option<&'a str>,
    pub(super) body: &'a [u8],
}

impl Answer<'_> {
    pub(super) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// What the answers like this one are called in a report: the status, and a problem's code.
    pub(super) fn name(&self) -> String {
        let problem: Option<serde_json::Value> = serde_json::from_slice(self.body).ok();
        match problem.as_ref().and_then(|problem| problem.get("code")).and_then(serde_json::Value::as_str) {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }
}

/// Connects at its first call, and again after each failure.
#[derive(Debug)]
pub(super) struct Connection {
    address: Arc<Address>,
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

impl Connection {
    pub(super) fn new(address: Arc<Address>) -> Self {
        Self { address, stream: None, received: Vec::with_capacity(READ_AT_ONCE) }
    }

    /// Connects beforehand, so that the first request does not pay for it.
    pub(super) async fn open(&mut self) -> Result<(), WireError> {
        let stream = timeout(CALL_LONGEST, self.stream()).await.map_err(|_| WireError::TimedOut)??;
        self.stream = Some(stream);
        Ok(())
    }

    /// Sends the bytes of one whole request and reads its answer.
    pub(super) async fn call(&mut self, request: &[u8]) -> Result<Answer<'_>, WireError> {
        let whole = timeout(CALL_LONGEST, self.exchange(request)).await.map_err(|_| WireError::TimedOut)??;
        let location = whole.location.and_then(|place| std::str::from_utf8(self.received.get(place)?).ok());
        Ok(Answer { status: whole.status, location, body: self.received.get(whole.body).unwrap_or_default() })
    }

    /// The connection is out of `self` meanwhile: an exchange that fails or is abandoned never leaves one half read.
    async fn exchange(&mut self, request: &[u8]) -> Result<Whole, WireError> {
        let mut stream = self.stream().await?;
        self.received.clear();
        stream.write_all(request).await.map_err(WireError::Broken)?;
        loop {
            self.received.reserve(READ_AT_ONCE);
            if stream.read_buf(&mut self.received).await.map_err(WireError::Broken)? == 0 {
                return Err(WireError::Closed);
            }
            if let Some(whole) = answer::whole(&self.received)? {
                self.stream = (!whole.closes).then_some(stream);
                return Ok(whole);
            }
        }
    }

    async fn stream(&mut self) -> Result<TcpStream, WireError> {
        if let Some(kept) = self.stream.take() {
            // One that the server closed while it was idle is readable: end of file, or an error.
            let mut byte = [0];
            if matches!(kept.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock) {
                return Ok(kept);
            }
        }
        let stream = TcpStream::connect(&self.address.socket).await.map_err(WireError::Unreachable)?;
        stream.set_nodelay(true).map_err(WireError::Unreachable)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn an_address_is_plain_http() {
        let socket = |url: &str| Address::parse(url).map(|address| address.socket);
        assert_eq!(socket("http://127.0.0.1:8080/").unwrap(), "127.0.0.1:8080");
        assert_eq!(socket("http://localhost").unwrap(), "localhost:80");
        assert_eq!(socket("http://[::1]:80").unwrap(), "[::1]:80");
        assert_eq!(socket("http://[::1]").unwrap(), "[::1]:80");
        for wrong in ["https://a", "a:80", "http://", "http://a/v1", "http://k@a"] {
            assert!(socket(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closed_while_idle_is_made_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut connection = Connection::new(Arc::new(Address::parse(&url).unwrap()));
        let server = async {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4];
                stream.read_exact(&mut request).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            }
        };
        let customer = async {
            assert_eq!(connection.call(b"once").await.unwrap().body, b"ok");
            // The server hung up at the end of the first round; wait until this side has heard.
            connection.stream.as_ref().unwrap().readable().await.unwrap();
            let answer = connection.call(b"more").await.unwrap();
            assert!(answer.is_success());
            assert_eq!(answer.name(), "200");
        };
        tokio::join!(server, customer);
        drop(listener);
        connection.stream = None;
        assert!(matches!(connection.call(b"gone").await, Err(WireError::Unreachable(_))));
    }
}
