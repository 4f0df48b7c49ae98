//! Mutual TLS between the pool and its callers: each side shows a certificate and takes only those that one authority of their own has
//! signed. No public authority is trusted.
//!
//! It reads no files; certificates are taken as they are at the start, and new ones need a restart.

use std::fmt;
use std::time::Duration;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, Server, ServerTlsConfig};

/// Beyond it a handshake is given up, by either side.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// What was given is no certificate, no authority's certificate, no private key, or the key is another certificate's. The text is the
/// TLS library's and quotes nothing.
#[derive(Debug, thiserror::Error)]
#[error("the certificate, its key and the authority's certificate do not make an identity: {0}")]
pub struct TlsError(String);

/// Who this process is, and whose word it takes for who others are.
#[derive(Clone)]
pub struct MutualTls {
    authority: Certificate,
    identity: Identity,
}

impl fmt::Debug for MutualTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MutualTls")
    }
}

impl MutualTls {
    /// Each as PEM: the authority's certificate (or several), this process's certificate with those between it and the authority, and
    /// its private key.
    ///
    /// # Errors
    /// Whatever of it cannot be used, found here and not with the first handshake.
    pub fn from_pem(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let tls = Self { authority: Certificate::from_pem(authority), identity: Identity::from_pem(certificate, key) };
        match Server::builder().tls_config(tls.server()) {
            Ok(_) => Ok(tls),
            Err(error) => {
                let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                Err(TlsError(cause))
            }
        }
    }

    /// A server that refuses a handshake without a certificate of the authority.
    pub fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new().identity(self.identity.clone()).client_ca_root(self.authority.clone()).timeout(HANDSHAKE)
    }

    /// A client that shows its own certificate, and goes on only with a server whose certificate names the host that was called.
    pub fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().identity(self.identity.clone()).ca_certificate(self.authority.clone()).timeout(HANDSHAKE)
    }
}
