//! What every process does before it runs: settings, secrets, telemetry, signals, listeners, health and metrics.
//!
//! It knows no service and no adapter: what a process is made of is decided in the server crate. This is the only crate that reads the
//! environment, and reads it once.

pub mod cpu;
pub mod listener;
pub mod ops;
pub mod panics;
pub mod settings;
pub mod signals;
pub mod telemetry;

pub use settings::{Role, Settings};

/// Installs the one TLS provider (ring) of the process. Calling it again changes nothing.
pub fn install_tls_provider() {
    // The error says that one is installed already, which is what is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}
