//! Ports: free ones are taken, taken ones are named.

use bootstrap::listener::{bind, local_url};
use std::net::{IpAddr, Ipv4Addr, TcpStream};

#[test]
fn a_free_port_is_taken_and_reached_on_loopback() {
    let listener = bind("PORT", None, 0).unwrap();
    let url = local_url(&listener).unwrap();
    TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
}

#[test]
fn a_taken_port_is_named_in_one_line() {
    let host = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let first = bind("PORT", host, 0).unwrap();
    let port = first.local_addr().unwrap().port();
    let line = bind("PORT", host, port).unwrap_err().to_string();
    assert_eq!(line, format!("PORT={port} cannot be listened on at 127.0.0.1: another process has it"));
}
