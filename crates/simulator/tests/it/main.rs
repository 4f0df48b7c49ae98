//! The simulator over real HTTP, as a worker and a customer meet it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audio;
mod callbacks;
mod faults;
mod renders;
mod steering;
mod upstream;
