//! Bootstrap, seen from outside: what a process reads, refuses, makes and answers.
#![cfg(test)]

mod listening;
mod ops;
mod secrets;
mod settings;
