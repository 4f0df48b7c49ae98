//! The adapters against real servers: what every adapter must do, and what these do when their servers fail.

mod abandoned;
mod database;
mod doorbell;
mod forgetting;
mod gateways;
mod ledger;
mod limiter;
mod lost_answers;
mod plans;
mod setup;
mod trouble;
