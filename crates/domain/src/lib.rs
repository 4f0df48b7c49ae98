//! What Son1k is about: its types, its rules, and the ports it needs of the world.
//!
//! Nothing here does I/O, reads a clock or draws a random number: time, ids and randomness come from the edge as arguments,
//! so every rule is a function that a test can call. In reading order:
//!
//! * who asks: [`account`], [`tier`], [`api_key`], [`credits`]
//! * what is asked: [`request`], [`generation`], [`state`], [`event`]
//! * the rules: [`admission`] (may this submission be accepted?), [`rate`], [`retry`], [`lease`],
//!   [`scaling`] (how many workers there should be), [`attention`] (what wants an operator)
//! * what the world must offer: [`ports`]

pub mod account;
pub mod admission;
pub mod api_key;
pub mod attention;
pub mod callback;
pub mod credits;
pub mod event;
pub mod generation;
pub mod ids;
pub mod lease;
pub mod page;
pub mod ports;
pub mod rate;
pub mod request;
pub mod retry;
pub mod scaling;
pub mod state;
pub mod tier;
pub mod token;

/// A moment of the ledger's clock, UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
