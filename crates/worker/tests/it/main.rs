//! The worker against real ledgers, a real broker and a real upstream over HTTP: stories of generations, and of what goes wrong with them.

#![cfg(test)]

mod broker;
mod called_back;
mod canceling;
mod database;
mod doubt;
mod dying;
mod fairness;
mod faults;
mod flaky;
mod flow;
mod hooked;
mod outage;
mod pacing;
mod poison;
mod slow;
mod stage;
mod store;
mod sunoapi;
mod tokens;
