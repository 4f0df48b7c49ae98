//! The token pool as its callers see it: over gRPC on loopback, on a real ledger; and its lease book against a model.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a story that cannot go on fails, and says where")]

mod adopting;
mod book_model;
mod certifying;
mod failing_over;
mod healing;
mod hostile;
mod importing;
mod leasing;
mod parting;
mod proxy;
mod replenishing;
mod rotating;
mod serving;
mod world;
