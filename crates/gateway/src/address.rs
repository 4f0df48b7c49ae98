//! Whose address a request comes from: the peer's, or what a trusted proxy says of it.

use crate::settings::Network;
use actix_web::dev::ServiceRequest;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The client's address, for limits and audit entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// `X-Forwarded-For` is read from its end, each hop believed only while the one behind it is trusted.
    pub(crate) fn of(request: &ServiceRequest, trusted: &[Network]) -> Self {
        let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
        let hops = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = if trusted.is_empty() { Vec::new() } else { hops.collect() };
        Self(walk(peer, &hops, trusted))
    }

    /// What a limit counts: an IPv6 client has a whole /64 to itself.
    pub(crate) fn group(self) -> IpAddr {
        match self.0 {
            IpAddr::V6(address) if !address.is_loopback() => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
            }
            other => other,
        }
    }
}

fn walk(peer: IpAddr, headers: &[&str], trusted: &[Network]) -> IpAddr {
    let mut address = peer;
    for hop in headers.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !trusted.iter().any(|network| network.contains(address)) {
            break;
        }
        let Ok(hop) = hop.trim().parse::<IpAddr>() else { break };
        address = hop.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_hops_are_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let walk = |peer: &str, headers: &[&str]| walk(peer.parse().unwrap(), headers, &trusted).to_string();
        assert_eq!(walk("203.0.113.9", &["1.2.3.4"]), "203.0.113.9");
        assert_eq!(walk("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(walk("10.0.0.1", &["6.6.6.6", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(walk("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(walk("10.0.0.1", &[]), "10.0.0.1");
    }
}
