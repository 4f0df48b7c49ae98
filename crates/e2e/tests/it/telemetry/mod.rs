//! Stories about what operators see: metrics and boards, traces, logs.

pub(crate) mod boards;
mod collector;
pub(crate) mod documented;
mod logs;
mod metrics;
mod prometheus;
mod traces;
