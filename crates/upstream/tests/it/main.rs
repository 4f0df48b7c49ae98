//! The upstream port against a real socket that says anything: a few lines of TCP server, told what to answer byte by byte.

#![cfg(test)]

mod garbage;
mod provisioner;
mod raw;
mod suno;
mod sunoapi;
