//! Stories about the whole system, in both modes, and the tidy tests.
//!
//! The executables must have been built (`./scripts/test` does it). A story starts them with settings of its own on free ports, talks
//! to them as customers and operators do, and kills them without asking. Whether one adapter keeps its contract is not asked here.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bad_upstream;
mod broker_gone;
mod called_back;
mod chaos;
mod credits;
mod dry_pool;
mod first_try;
mod held_up_ledger;
mod hostile;
mod killed_all_in_one;
mod killed_worker;
mod limits;
mod photo_finish;
mod pool_failover;
mod refusals;
mod scaling;
mod settings;
mod song;
mod streams;
mod system;
mod telemetry;
mod tidy;
mod tidy_deployment;
mod tidy_readers;
mod tidy_telemetry;
