//! Keeps MIN to MAX upstream tokens healthy and leases them, fenced.
//!
//! [`Pool`] is the service: started once a process, it takes part in the election of a leader, and as the leader answers the domain's
//! `TokenLeases` and `TokenAdmin` ports in process; [`serve`] offers the same over gRPC. What must survive is the ledger's (tokens,
//! leadership, and the leases themselves, which are the work rows that name them); the leader's memory is a cache. In reading order:
//!
//! * the rules, pure: [`health`] (one transition function), [`lease_book`] (who may use which token now), `pace`, `keys` (sealing)
//! * the service: `pool`, `leadership`, `reconcile`, `leases`, `admin`, `save`, `upkeep`, `probes`, `reseal`
//! * what fills it by itself: `listing` (a file's tokens), `watch`, `provision`, `intake`
//! * the edge: `serve`, `answered`, `metrics`
//!
//! It submits nothing to an upstream and obtains no credentials but those that the operator imports, lists or provides.

mod admin;
mod answered;
pub mod health;
mod intake;
mod keys;
mod leadership;
pub mod lease_book;
mod leases;
mod listing;
mod metrics;
mod pace;
mod pool;
mod probes;
mod provision;
mod reconcile;
mod refused;
mod reseal;
mod save;
mod serve;
mod settings;
mod state;
mod upkeep;
mod watch;

pub use keys::{EncryptionKeys, KeysError};
pub use pool::{Pool, PoolStartError};
pub use serve::{Access, ServeError, serve};
pub use settings::{Settings, Sources};
