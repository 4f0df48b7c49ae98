//! The production adapters keep the contracts, against real servers.

mod doorbell;
mod limiter;
