//! Where a request comes from, and how the client addressed it: as seen by the server, or by a proxy that is
//! trusted.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Entries of a chain of proxies that are looked at.
const HOPS: usize = 32;
/// Bytes of a prefix at most.
const PREFIX_BYTES: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            _ if text.eq_ignore_ascii_case("http") => Some(Self::Http),
            _ if text.eq_ignore_ascii_case("https") => Some(Self::Https),
            _ => None,
        }
    }
}

/// The client of a request; every request has one among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// The client's address, for limits and for the audit.
    pub ip: IpAddr,
    /// How it came. `None` if that is not known: a proxy that is not configured may have added TLS.
    pub scheme: Option<Scheme>,
}

impl ClientAddress {
    /// The client of a request without one: it did not come over the network.
    pub const NONE: Self = Self { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), scheme: None };

    /// Whether all the way from the client is known to be encrypted. Cookies are `Secure` then.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Some(Scheme::Https)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self::NONE))
    }
}

/// The proxies whose headers are believed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

/// What a trusted proxy says of a request, or what the server itself sees.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forwarded<'a> {
    pub client: ClientAddress,
    /// The beginning of the path that the proxy has removed.
    pub prefix: Option<&'a str>,
}

impl TrustedProxies {
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// `peer` is the other end of the connection, and `is_tls` whether that is encrypted.
    pub(super) fn resolve<'a>(&self, headers: &'a HeaderMap, peer: IpAddr, is_tls: bool) -> Forwarded<'a> {
        let peer = peer.to_canonical();
        let own = match (is_tls, self.0.is_empty()) {
            (true, _) => Some(Scheme::Https),
            // Without configured proxies, any may be one.
            (false, true) => None,
            (false, false) => Some(Scheme::Http),
        };
        if !self.contains(peer) {
            return Forwarded { client: ClientAddress { ip: peer, scheme: own }, prefix: None };
        }
        let (ip, proxies) = self.client_of(headers, peer);
        let scheme = scheme_of(headers, proxies).or(is_tls.then_some(Scheme::Https));
        let prefix = single(headers, &FORWARDED_PREFIX).and_then(clean_prefix);
        Forwarded { client: ClientAddress { ip, scheme }, prefix }
    }

    /// The client's address, and the number of trusted proxies it came through. Each proxy adds the address of
    /// its client at the end, so only what trusted ones have added is believed: the client itself may have sent
    /// the beginning.
    fn client_of(&self, headers: &HeaderMap, peer: IpAddr) -> (IpAddr, usize) {
        let (mut client, mut proxies) = (peer, 1);
        for entry in entries(headers, &FORWARDED_FOR).take(HOPS) {
            let Some(address) = address_of(entry) else { break };
            client = address;
            if !self.contains(address) {
                break;
            }
            proxies += 1;
        }
        (client, proxies)
    }
}

/// The scheme that the outermost of the trusted proxies was addressed by. Most replace the header, some add to
/// it.
fn scheme_of(headers: &HeaderMap, proxies: usize) -> Option<Scheme> {
    entries(headers, &FORWARDED_PROTO).take(proxies).last().and_then(Scheme::parse)
}

/// The entries of a list in a header, from the last to the first.
fn entries<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values: Vec<&str> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    values.into_iter().rev().flat_map(|value| value.rsplit(',').map(str::trim))
}

/// An address, with or without a port.
fn address_of(entry: &str) -> Option<IpAddr> {
    let bare = match entry.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        // One colon is before a port; more are an IPv6 address.
        None if entry.matches(':').count() == 1 => entry.split(':').next()?,
        None => entry,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    first.to_str().ok()
}

/// The beginning of a path, without its last slash; `None` if no address could begin with it. It is written into
/// pages.
pub(super) fn clean_prefix(prefix: &str) -> Option<&str> {
    let prefix = prefix.trim().trim_end_matches('/');
    let is_segment = |segment: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        !segment.is_empty() && segment != ".." && segment != "." && segment.chars().all(is_plain)
    };
    let segments = prefix.strip_prefix('/')?;
    (prefix.len() <= PREFIX_BYTES && segments.split('/').all(is_segment)).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    fn resolve(peer: &str, pairs: &[(&'static str, &str)]) -> (String, Option<Scheme>, Option<String>) {
        let networks = ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        let headers = headers(pairs);
        let Forwarded { client, prefix } =
            TrustedProxies::new(&networks).resolve(&headers, peer.parse().expect("an address"), false);
        (client.ip.to_string(), client.scheme, prefix.map(str::to_owned))
    }

    fn ip(peer: &str, chain: &[&str]) -> String {
        let pairs: Vec<_> = chain.iter().map(|value| ("x-forwarded-for", *value)).collect();
        resolve(peer, &pairs).0
    }

    #[test]
    fn only_what_trusted_proxies_have_added_is_believed() {
        assert_eq!(ip("127.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(ip("203.0.113.9", &["203.0.113.7"]), "203.0.113.9", "not from a proxy");
        assert_eq!(ip("127.0.0.1", &["6.6.6.6, 203.0.113.7"]), "203.0.113.7", "made up by the client");
        assert_eq!(ip("127.0.0.1", &["6.6.6.6", "203.0.113.7, 10.1.1.1"]), "203.0.113.7", "two proxies");
        assert_eq!(ip("127.0.0.1", &["10.0.0.2, 10.0.0.1"]), "10.0.0.2", "a client beside the proxies");
        assert_eq!(ip("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn entries_that_are_no_addresses_end_the_chain() {
        for (entry, client) in [
            ("203.0.113.7:4711", "203.0.113.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("unknown", "127.0.0.1"),
            ("", "127.0.0.1"),
            ("203.0.113.7, _hidden", "127.0.0.1"),
            ("203.0.113.7 10.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(ip("127.0.0.1", &[entry]), client, "{entry}");
        }
        assert_eq!(ip("::ffff:127.0.0.1", &["203.0.113.7"]), "203.0.113.7", "a proxy over a socket for both");
        let long = vec!["10.0.0.1"; 10_000].join(",");
        assert_eq!(ip("127.0.0.1", &[&long]), "10.0.0.1");
    }

    #[test]
    fn the_scheme_is_the_one_that_the_outermost_trusted_proxy_was_addressed_by() {
        let scheme = |peer, pairs: &[(&'static str, &str)]| resolve(peer, pairs).1;
        let (http, https) = (Some(Scheme::Http), Some(Scheme::Https));
        assert_eq!(scheme("127.0.0.1", &[("x-forwarded-proto", "https")]), https);
        assert_eq!(scheme("127.0.0.1", &[("x-forwarded-proto", "HTTP")]), http);
        assert_eq!(scheme("203.0.113.9", &[("x-forwarded-proto", "https")]), http, "not from a proxy");
        assert_eq!(scheme("127.0.0.1", &[("x-forwarded-proto", "https, http")]), http, "made up by the client");
        let two = [("x-forwarded-for", "203.0.113.7, 10.0.0.1"), ("x-forwarded-proto", "https, http")];
        assert_eq!(scheme("127.0.0.1", &two), https, "each proxy has added one");
        assert_eq!(scheme("127.0.0.1", &[]), None, "the proxy does not say");
        assert_eq!(scheme("127.0.0.1", &[("x-forwarded-proto", "gopher")]), None);
        let (none, peer) = (TrustedProxies::default(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        let empty = HeaderMap::new();
        assert_eq!(none.resolve(&empty, peer, false).client.scheme, None, "any client may be a proxy");
        assert_eq!(none.resolve(&empty, peer, true).client.scheme, https);
    }

    #[test]
    fn a_prefix_is_a_path_or_nothing() {
        let prefix = |peer, value| resolve(peer, &[("x-forwarded-prefix", value)]).2;
        assert_eq!(prefix("127.0.0.1", "/relive/").as_deref(), Some("/relive"));
        assert_eq!(prefix("10.9.9.9", "/a/b").as_deref(), Some("/a/b"));
        assert_eq!(prefix("203.0.113.9", "/relive"), None, "not from a proxy");
        for wrong in
            ["", "/", "relive", "//evil.example", "/a//b", "/../b", "/a\"><script>", "/a b", "/a,/b", "https://x"]
        {
            assert_eq!(prefix("127.0.0.1", wrong), None, "{wrong}");
        }
        let twice = [("x-forwarded-prefix", "/a"), ("x-forwarded-prefix", "/b")];
        assert_eq!(resolve("127.0.0.1", &twice).2, None);
    }
}
