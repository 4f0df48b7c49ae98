//! Free ports, below the range that outgoing connections take theirs from.

use std::net::TcpListener;

/// A port that nobody listens on. It is free until its process binds it: a moment, and nobody else draws the same.
pub(crate) fn free() -> u16 {
    let found = (0..200)
        .map(|_| rand::random_range(12_000..19_999))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok() && TcpListener::bind(("::", *port)).is_ok());
    found.unwrap_or_else(|| panic!("no free port between 12000 and 19999"))
}
