//! The embedded adapters keep the contracts.

mod abandoned;
mod doorbell;
mod folder;
mod gateways;
mod ledger;
mod limiter;
