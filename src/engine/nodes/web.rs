//! HTTP requests to addresses that come from workflows or from the values of their templates.
//!
//! Only hosts on the list are contacted, and only at public addresses unless the setting says otherwise. The
//! address is checked when connecting, after the name was resolved, and again at every redirect; so a name on
//! the list that resolves to an internal address does not give access to it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

const CONNECT: Duration = Duration::from_secs(10);
const REDIRECTS: usize = 5;

/// What tool nodes may reach.
#[derive(Clone, Debug, Default)]
pub struct WebOptions {
    /// `api.example.org`, `*.example.org` (any name below), or `*` (any host). None: nothing.
    pub hosts: Vec<String>,
    /// Whether loopback, private and other internal addresses may be reached.
    pub allow_private: bool,
}

/// Why an address is not contacted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("{0} is no http or https address")]
    NotHttp(String),
    #[error("the host {0} is not on the list of hosts that tools may reach (RELIVE_TOOL_HOSTS)")]
    Host(String),
    #[error("{0} is not a public address, and tools may reach no others (RELIVE_TOOL_ALLOW_PRIVATE)")]
    Private(String),
}

/// The HTTP client of tool nodes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Web {
    client: Client,
    rules: Arc<Rules>,
}

struct Rules {
    hosts: Vec<String>,
    allow_private: bool,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("hosts", &self.hosts).field("allow_private", &self.allow_private).finish()
    }
}

impl Web {
    /// # Errors
    ///
    /// If no HTTP client can be created.
    pub fn new(options: WebOptions) -> Result<Self, reqwest::Error> {
        let hosts = options.hosts.iter().map(|host| host.trim().to_lowercase()).filter(|host| !host.is_empty());
        let rules = Arc::new(Rules { hosts: hosts.collect(), allow_private: options.allow_private });
        let for_redirects = Arc::clone(&rules);
        let redirects = Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS {
                return attempt.error("too many redirects");
            }
            match for_redirects.check(attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(forbidden) => attempt.error(forbidden),
            }
        });
        let client = Client::builder()
            // A proxy would resolve the names itself.
            .no_proxy()
            .dns_resolver(Arc::new(Resolver { allow_private: options.allow_private }))
            .redirect(redirects)
            .connect_timeout(CONNECT)
            // Gzip is decompressed by `unpack`.
            .no_gzip()
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"))]))
            .user_agent(concat!("relive/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, rules })
    }

    /// Whether any host can be reached.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        !self.rules.hosts.is_empty()
    }

    /// A client for this address.
    ///
    /// # Errors
    ///
    /// [`Forbidden`] if the address is not allowed.
    pub fn client(&self, url: &Url) -> Result<&Client, Forbidden> {
        self.rules.check(url)?;
        Ok(&self.client)
    }
}

impl Rules {
    fn check(&self, url: &Url) -> Result<(), Forbidden> {
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
        let host = host.ok_or_else(|| Forbidden::NotHttp(url.scheme().to_owned()))?.to_lowercase();
        let host = host.trim_end_matches('.');
        if !self.hosts.iter().any(|pattern| fits(pattern, host)) {
            return Err(Forbidden::Host(host.to_owned()));
        }
        // A literal address is never passed to the resolver.
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) if !self.allow_private && !is_public(address) => Err(Forbidden::Private(host.to_owned())),
            _ => Ok(()),
        }
    }
}

fn fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        None => pattern == "*" || pattern == host,
    }
}

#[derive(Debug)]
struct Resolver {
    allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| allow_private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err(Forbidden::Private(name.as_str().to_owned()).into());
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

    fn web(hosts: &[&str], allow_private: bool) -> Web {
        Web::new(WebOptions { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), allow_private })
            .expect("a client")
    }

    fn check(web: &Web, url: &str) -> Result<(), Forbidden> {
        web.client(&url.parse().expect(url)).map(drop)
    }

    #[test]
    fn only_hosts_on_the_list_are_asked() {
        let listed = web(&["api.example.org", "*.Example.com"], false);
        for url in
            ["https://api.example.org/x", "http://API.example.org.", "https://a.example.com", "https://a.b.example.com"]
        {
            assert_eq!(check(&listed, url), Ok(()), "{url}");
        }
        for url in [
            "https://example.org",
            "https://example.com",
            "https://badexample.com",
            "https://api.example.org.evil.net",
            "https://api.example.org@evil.net/",
        ] {
            assert!(matches!(check(&listed, url), Err(Forbidden::Host(_))), "{url}");
        }
        assert!(matches!(check(&listed, "file:///etc/passwd"), Err(Forbidden::NotHttp(_))));
        assert!(matches!(check(&web(&[], false), "https://example.org"), Err(Forbidden::Host(_))));
    }

    #[test]
    fn an_inner_address_is_refused_however_it_is_written() {
        for url in [
            "http://127.0.0.1",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/latest/meta-data/",
        ] {
            assert!(matches!(check(&web(&["*"], false), url), Err(Forbidden::Private(_))), "{url}");
            assert_eq!(check(&web(&["*"], true), url), Ok(()), "{url}");
        }
    }
}
