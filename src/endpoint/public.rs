//! Which addresses are public, and a resolver that gives out no others.
//!
//! Addresses that come from clients or from workflows must not give access to what only the server can reach. They are
//! checked after the name was resolved, when connecting: a name that resolves to an internal address is refused as that
//! address is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Why an address is not contacted. It ends with what would have to be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host} is not a public address, and {rule}")]
pub struct NotPublic {
    pub host: String,
    pub rule: &'static str,
}

/// Whether internal addresses may be contacted.
#[derive(Clone, Copy, Debug)]
pub struct PublicOnly {
    /// Whether loopback, private and other internal addresses may be reached.
    pub allow_private: bool,
    /// What errors say: "tools may reach no others (RELIVE_…)".
    pub rule: &'static str,
}

impl PublicOnly {
    /// Checks an address that is written as such: it is never passed to the resolver.
    ///
    /// # Errors
    ///
    /// [`NotPublic`].
    pub fn check(self, url: &Url) -> Result<(), NotPublic> {
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) if !self.allow_private && !is_public(address) => Err(self.refuse(host)),
            _ => Ok(()),
        }
    }

    fn refuse(self, host: &str) -> NotPublic {
        NotPublic { host: host.to_owned(), rule: self.rule }
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = *self;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| rules.allow_private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err(rules.refuse(name.as_str()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is a public internet address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        // Carrier-grade NAT; protocol assignments; benchmarking; 6to4 relays.
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b))
        || (a, b, c) == (192, 88, 99))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // NAT64, 6to4: they embed an IPv4 address.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // Only 2000::/3 is allocated; within it, Teredo and documentation addresses are excluded.
        [0x2001, 0 | 0xdb8, ..] => false,
        [first, ..] => (first & 0xe000) == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_known_in_all_their_forms() {
        for inner in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001:0:1::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(inner.parse().expect(inner)), "{inner}");
        }
        for public in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101", "::ffff:8.8.8.8"] {
            assert!(is_public(public.parse().expect(public)), "{public}");
        }
    }
}
