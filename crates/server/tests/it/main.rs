//! The executables as people meet them: what they print, what they refuse, how they end. Embedded mode alone; the whole system, in both
//! modes, is the e2e crate's.
#![cfg(test)]

mod demo;
mod doctor;
mod operate;
mod processes;
mod refusals;
mod scripted;
mod secrets;
mod top;
mod up;
