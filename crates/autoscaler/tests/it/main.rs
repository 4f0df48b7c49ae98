//! The autoscaler against its ledger, and its controllers against platforms that check every request.
#![cfg(test)]

mod docker;
mod engine;
mod leading;
mod railway;
mod real_engine;
