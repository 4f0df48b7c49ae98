//! What is measured: one file a profile. Each makes its own customers, offers its requests, and reports.

pub(super) mod capacity;
pub(super) mod drain;
pub(super) mod fairness;
pub(super) mod open;
pub(super) mod read;
pub(super) mod shares;
pub(super) mod submit;
