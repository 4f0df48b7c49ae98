//! The embedded adapters keep the contracts.
#![cfg(test)]

mod abandoned;
mod doorbell;
mod folder;
mod gateways;
mod ledger;
mod limiter;
