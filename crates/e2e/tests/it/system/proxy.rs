//! A TCP proxy that can be cut: what stands behind it is then out of reach, as when a cable is pulled.

use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) struct Proxy {
    address: String,
    target: Arc<Mutex<String>>,
    cut: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// In front of `target`, `host:port`.
    #[expect(clippy::disallowed_methods, reason = "the proxy's own tasks; they end with it")]
    async fn before(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (cut, is_cut) = watch::channel(false);
        let target = Arc::new(Mutex::new(target));
        let current = Arc::clone(&target);
        let serving = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (target, mut is_cut) = (current.lock().unwrap().clone(), is_cut.clone());
                if *is_cut.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target.as_str()).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        // Also when the proxy itself is gone.
                        _ = is_cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { address, target, cut, serving }
    }

    /// In front of the server that a URL names: the same URL, through the proxy.
    pub(crate) async fn before_url(url: &str) -> (String, Self) {
        let (start, end) = host_and_port(url);
        let proxy = Self::before(url[start..end].to_owned()).await;
        (format!("{}{}{}", &url[..start], proxy.address, &url[end..]), proxy)
    }

    /// Connections from now on lead to the server of this URL, as those of a proxy that fails over.
    pub(crate) fn points_at(&self, url: &str) {
        let (start, end) = host_and_port(url);
        url[start..end].clone_into(&mut self.target.lock().unwrap());
    }

    /// Breaks all connections and lets no new one through.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(true);
    }

    pub(crate) fn heal(&self) {
        self.cut.send_replace(false);
    }
}

/// Where in a URL they stand.
fn host_and_port(url: &str) -> (usize, usize) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let start = url.find('@').map_or(authority, |at| at + 1);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    (start, end)
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
