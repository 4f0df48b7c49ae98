//! Listening sockets. Binding is done here, once, so that a taken port is one line at the start and services are handed what they serve.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// Why a port could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{setting}={port} cannot be listened on at {address}: {problem}")]
pub struct BindError {
    setting: &'static str,
    port: u16,
    address: IpAddr,
    problem: String,
}

/// Listens on `port` of `host`; of every address when none is named, IPv6 too where it is there. Port 0 takes a free one.
///
/// The socket is non-blocking, as both actix and tokio want it. `setting` names the port in the error.
///
/// # Errors
/// The port is taken or not permitted, or the address is not this machine's.
pub fn bind(setting: &'static str, host: Option<IpAddr>, port: u16) -> Result<TcpListener, BindError> {
    let open = |address: IpAddr| -> io::Result<TcpListener> {
        let listener = TcpListener::bind(SocketAddr::new(address, port))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let every_v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let first = host.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let (address, result) = match (open(first), host) {
        // No IPv6 here: anything but a port that cannot be had.
        (Err(error), None) if !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
            (every_v4, open(every_v4))
        }
        (result, _) => (first, result),
    };
    result.map_err(|error| BindError {
        setting,
        port,
        address,
        problem: match error.kind() {
            ErrorKind::AddrInUse => "another process has it".to_owned(),
            ErrorKind::PermissionDenied => "this user may not".to_owned(),
            _ => error.to_string(),
        },
    })
}

/// The address under which this machine's own programs reach `listener`.
///
/// # Errors
/// When the socket has gone.
pub fn local_url(listener: &TcpListener) -> io::Result<String> {
    let address = listener.local_addr()?;
    let host = match address.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    };
    Ok(format!("http://{host}:{}", address.port()))
}
