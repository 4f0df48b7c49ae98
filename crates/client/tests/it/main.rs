//! The client against a server that answers what a test scripts, byte for byte.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod downloads;
mod events;
mod scripted;
