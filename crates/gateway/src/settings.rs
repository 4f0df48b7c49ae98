//! What a gateway is told at its start. Plain fields: bootstrap reads the environment, nothing here does.

use domain::api_key::ApiKey;
use domain::callback::Callbacks;
use domain::tier::Tiers;
use secrecy::SecretString;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Settings {
    pub tiers: Tiers,
    /// Keys the hashes under which API keys are stored and found.
    pub pepper: SecretString,
    /// Opens `/admin/v1`, and nothing under `/v1`.
    pub admin_key: ApiKey,
    /// The system account's one key.
    pub system_key: ApiKey,
    /// Checks what upstreams call back with; without it every callback is unknown.
    pub callbacks: Option<Callbacks>,
    /// Requests a minute without a valid key, for each client address.
    pub unauthenticated_per_minute: u32,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Exact origins, or `*`. Empty: no CORS.
    pub cors_allowed_origins: Vec<String>,
    /// Waiting generations of one account before 503; an account's override goes first.
    pub backlog_max_account: u32,
    /// Waiting generations in all before 503.
    pub backlog_max_total: u64,
    /// The bounds of the workers' number, told where no autoscaler tells its own.
    pub scaling_min: u32,
    pub scaling_max: u32,
    /// Open event streams and held requests at once.
    pub streams_max: usize,
    /// Threads that serve HTTP, at least 1.
    pub http_workers: usize,
    /// After the request to stop, connections are still accepted for this long, so that balancers notice.
    pub drain_at_least: Duration,
    /// Then what is in flight has this long to end. Whole seconds.
    pub drain_at_most: Duration,
}

impl Settings {
    /// The documented defaults, around the four secrets that have none.
    pub fn new(pepper: SecretString, admin_key: ApiKey, system_key: ApiKey) -> Self {
        Self {
            tiers: Tiers::default(),
            pepper,
            admin_key,
            system_key,
            callbacks: None,
            unauthenticated_per_minute: 100,
            trusted_proxies: Vec::new(),
            cors_allowed_origins: Vec::new(),
            backlog_max_account: 10_000,
            backlog_max_total: 1_000_000,
            scaling_min: 1,
            scaling_max: 10,
            streams_max: 20_000,
            http_workers: 2,
            drain_at_least: Duration::ZERO,
            drain_at_most: Duration::from_secs(10),
        }
    }
}

/// One address, or a range in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a range such as 10.0.0.0/8 or fd00::/8")]
pub struct NetworkError;

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| NetworkError)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(NetworkError) } else { Ok(Self { address, bits }) }
    }
}

impl Network {
    pub fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => same_prefix(own.to_bits(), other.to_bits(), 32 - self.bits),
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let dropped = u32::from(128 - self.bits);
                own.to_bits().checked_shr(dropped) == other.to_bits().checked_shr(dropped)
            }
            _ => false,
        }
    }
}

fn same_prefix(own: u32, other: u32, dropped: u8) -> bool {
    own.checked_shr(u32::from(dropped)) == other.checked_shr(u32::from(dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_they_name() {
        let holds = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse::<IpAddr>().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("127.0.0.1", "::ffff:127.0.0.1") && !holds("127.0.0.1", "127.0.0.2"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && holds("::/0", "fd00::1") && !holds("::/0", "8.8.8.8"));
        assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "fe80::1"));
        for text in ["", "10.0.0.0/33", "::/129", "host", "10.0.0.0/", "10.0.0/8"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text}");
        }
    }
}
