//! `son1k healthcheck`: is this container's service ready? For images that have no other HTTP client.

use anyhow::{Context, bail};
use bootstrap::Settings;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(3);
const ANSWER_LARGEST: u64 = 64 * 1024;

/// Asks `/readyz` once: at `ADMIN_URL`, else on this machine at `OPS_PORT`, else at `PORT`.
///
/// # Errors
/// When it does not answer 200 within three seconds.
pub async fn healthcheck(settings: Settings, _: CancellationToken) -> anyhow::Result<()> {
    let (status, answer) = ready(&settings.operators_url()).await?;
    if status != 200 {
        bail!("not ready: {answer}");
    }
    crate::launch::say(&answer);
    Ok(())
}

/// What `/readyz` answers: status and body.
pub(crate) async fn ready(url: &str) -> anyhow::Result<(u16, String)> {
    let host = url.strip_prefix("http://").context("only http:// is asked here")?;
    let host = host.split('/').next().unwrap_or(host);
    let address = if host.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let asked = async {
        let mut stream = TcpStream::connect(&address).await?;
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_LARGEST).read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await.context("no answer in time")?;
    let answer = answer.with_context(|| format!("{address} does not answer"))?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("not HTTP")?;
    Ok((status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned()))
}

/// Waits until the gateway at `url` is ready, for `longest` at most.
pub(crate) async fn until_ready(url: &str, longest: Duration) -> anyhow::Result<()> {
    let asking = async {
        while !matches!(ready(url).await, Ok((200, _))) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(longest, asking).await.context("the gateway did not become ready")
}
