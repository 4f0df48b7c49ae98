//! The gateway over real HTTP, on the embedded store. Each module is a chapter; the harness is in [`app`].

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a story that cannot go on fails its test")]

mod answers;
mod app;
mod authenticating;
mod bodies;
mod calling_back;
mod canceling;
mod console;
mod contract;
mod declared;
mod describing;
mod documentation;
mod every_answer;
mod faults;
mod following;
mod gone;
mod kept;
mod laying_aside;
mod limiting;
mod operating;
mod pool;
mod reading;
mod submitting;
