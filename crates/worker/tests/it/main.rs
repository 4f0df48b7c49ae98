//! The worker against a real embedded ledger and a real upstream over HTTP: stories of generations, and of what goes wrong with them.

#![cfg(test)]

mod canceling;
mod dying;
mod faults;
mod flaky;
mod flow;
mod pacing;
mod stage;
mod store;
mod tokens;
