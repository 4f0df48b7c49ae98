//! The ports on SQLite and in-process channels: the store of the mode that needs nothing else.
//!
//! Only one process can use a data folder at a time, so there is one writer, one clock and no lock beyond SQLite's own. Every commit is on
//! disk before it is answered: kill the process at any moment, open the folder again, and every accepted generation still ends.

mod accounts;
pub mod channels;
mod clock;
mod gateways;
mod generations;
pub mod limiter;
mod open;
mod outcome;
mod probe;
mod scaling;
mod stored;
mod tokens;
mod work;

pub use open::{Ledger, OpenError, Settings};
