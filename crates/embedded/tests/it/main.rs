//! The embedded adapters keep the contracts.

mod abandoned;
mod doorbell;
mod folder;
mod ledger;
mod limiter;
