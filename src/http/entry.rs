//! What is done with every request before it is routed, and with every answer after: who the client is, and
//! under which path it knows this server.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{HOST, LOCATION, STRICT_TRANSPORT_SECURITY};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Request, Response, Uri};
use axum::response::IntoResponse as _;
use ipnet::IpNet;

use super::client_address::{ClientAddress, Forwarded, TrustedProxies, clean_prefix};
use super::error::ApiError;
use super::origin::Authority;
use super::page_rules::PROBES;

/// What the rules of the entry are derived from.
#[derive(Clone, Copy, Debug)]
pub struct EntryOptions<'a> {
    pub trusted_proxies: &'a [IpNet],
    /// The path below which the server is found, such as `/relive`; `/` for none.
    pub base_path: &'a str,
    /// Whether clients connect with TLS to this server itself.
    pub is_tls: bool,
    /// For how long browsers are told to use nothing but HTTPS; 0: not at all.
    pub hsts_seconds: u64,
}

/// No address can begin with this base path.
#[derive(Debug, thiserror::Error)]
#[error("--base-path: `{0}` is not a path; expected one such as /relive, of letters, digits and -._~")]
pub struct BasePathError(String);

/// The entry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ingress {
    proxies: TrustedProxies,
    base: PublicBase,
    is_tls: bool,
    hsts: Option<HeaderValue>,
}

/// The beginning of every address of this server as the client knows it: empty, or such as `/relive`. Every
/// request has one among its extensions. `Location` headers are given it on their way out; whatever else has
/// addresses in it needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicBase(Option<Arc<str>>);

impl PublicBase {
    fn new(path: &str) -> Self {
        Self((!path.is_empty()).then(|| path.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for PublicBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PublicBase {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// What is kept of a request for its answer.
#[derive(Debug)]
pub struct Admitted {
    base: PublicBase,
    /// The answer tells the browser to use nothing but HTTPS for this host.
    has_hsts: bool,
}

impl Ingress {
    /// # Errors
    ///
    /// If no address can begin with the base path.
    pub fn new(options: EntryOptions<'_>) -> Result<Self, BasePathError> {
        let base = match options.base_path.trim() {
            "" | "/" => "",
            path => clean_prefix(path).ok_or_else(|| BasePathError(path.escape_debug().to_string()))?,
        };
        let hsts = (options.hsts_seconds > 0).then(|| format!("max-age={}", options.hsts_seconds));
        Ok(Self {
            proxies: TrustedProxies::new(options.trusted_proxies),
            base: PublicBase::new(base),
            is_tls: options.is_tls,
            hsts: hsts.and_then(|value| value.try_into().ok()),
        })
    }

    /// Notes what is known of the client among the request's extensions, and removes the base path.
    ///
    /// # Errors
    ///
    /// The answer to a request for an address that is not below the base path.
    // The answer is as large as any other.
    #[allow(clippy::result_large_err)]
    pub fn admit<B>(&self, request: &mut Request<B>, peer: IpAddr) -> Result<Admitted, axum::response::Response> {
        let Forwarded { client, prefix } = self.proxies.resolve(request.headers(), peer, self.is_tls);
        let base = match prefix {
            Some(prefix) => PublicBase::new(&format!("{prefix}{}", self.base)),
            None => self.base.clone(),
        };
        let has_hsts = self.hsts.is_some() && client.is_https() && has_public_name(request.headers());
        if !self.base.as_str().is_empty() {
            let inner = inner_address(request.uri(), self.base.as_str());
            *request.uri_mut() = inner.ok_or_else(|| self.nothing_here())?;
        }
        request.extensions_mut().insert::<ClientAddress>(client);
        request.extensions_mut().insert(base.clone());
        Ok(Admitted { base, has_hsts })
    }

    /// Completes an answer.
    pub fn complete<B>(&self, admitted: &Admitted, response: &mut Response<B>) {
        let base = admitted.base.as_str();
        let headers = response.headers_mut();
        if !base.is_empty()
            && let Some(location) = headers.get_mut(LOCATION)
            && let Some(path) = location.to_str().ok().filter(|path| path.starts_with('/') && !path.starts_with("//"))
            && let Ok(address) = HeaderValue::try_from(format!("{base}{path}"))
        {
            *location = address;
        }
        if admitted.has_hsts
            && let Some(hsts) = &self.hsts
        {
            headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
    }

    fn nothing_here(&self) -> axum::response::Response {
        ApiError::not_found(&format!("address here; this server is below {}/", self.base)).into_response()
    }
}

/// The address without the base path; `None` if it does not begin with that. Probes need no base path: they come
/// from inside.
fn inner_address(uri: &Uri, base: &str) -> Option<Uri> {
    let path = uri.path();
    if PROBES.contains(&path) {
        return Some(uri.clone());
    }
    let inner = match path.strip_prefix(base)? {
        "" => "/",
        inner if inner.starts_with('/') => inner,
        _ => return None,
    };
    let address = uri.query().map_or_else(|| inner.to_owned(), |query| format!("{inner}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(address).ok()?);
    Uri::from_parts(parts).ok()
}

/// Browsers disregard the header for addresses; for `localhost` it would concern every other server of the
/// machine.
fn has_public_name(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| Authority::parse(host.to_str().ok()?).ok());
    host.is_some_and(|authority| authority.host().is_public_name())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn entry(base_path: &str, is_tls: bool) -> Ingress {
        let trusted_proxies = ["127.0.0.1/32".parse().expect("a network")];
        let options = EntryOptions { trusted_proxies: &trusted_proxies, base_path, is_tls, hsts_seconds: 60 };
        Ingress::new(options).expect("an entry")
    }

    fn request(path: &str, headers: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    /// The address inside, and the base that the client knows.
    fn admitted(base_path: &str, path: &str, headers: &[(&'static str, &'static str)]) -> Option<(String, String)> {
        let mut request = request(path, headers);
        let Admitted { base, .. } = entry(base_path, false).admit(&mut request, PROXY).ok()?;
        assert_eq!(request.extensions().get::<PublicBase>(), Some(&base));
        assert!(request.extensions().get::<ClientAddress>().is_some());
        Some((request.uri().to_string(), base.to_string()))
    }

    #[test]
    fn a_base_path_is_removed_and_what_is_beside_it_is_not_found() {
        let inside = |path: &str| Some((path.to_owned(), "/relive".to_owned()));
        assert_eq!(admitted("/relive/", "/relive/api/v1/sessions?limit=1", &[]), inside("/api/v1/sessions?limit=1"));
        assert_eq!(admitted("/relive", "/relive", &[]), inside("/"));
        assert_eq!(admitted("/relive", "/relive?status=failed", &[]), inside("/?status=failed"));
        assert_eq!(admitted("/relive", "/relive/", &[]), inside("/"));
        assert_eq!(admitted("/relive", "/healthz", &[]), inside("/healthz"), "probes come from inside");
        assert_eq!(admitted("/relive", "/relive//api", &[]), inside("//api"));
        for outside in ["/", "/api/v1/sessions", "/relivexx", "/Relive", "/x/relive", "/rel"] {
            assert_eq!(admitted("/relive", outside, &[]), None, "{outside}");
        }
        assert_eq!(admitted("/", "/ws", &[]), Some(("/ws".to_owned(), String::new())));
    }

    #[test]
    fn a_prefix_that_the_proxy_has_removed_comes_first() {
        let prefix = [("x-forwarded-prefix", "/tools")];
        assert_eq!(admitted("/", "/ws?x=1", &prefix), Some(("/ws?x=1".to_owned(), "/tools".to_owned())));
        assert_eq!(admitted("/relive", "/relive/ws", &prefix), Some(("/ws".to_owned(), "/tools/relive".to_owned())));
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        for (text, base) in [("/", ""), ("", ""), ("/relive/", "/relive"), ("/a/b-1", "/a/b-1"), (" /x ", "/x")] {
            let options = EntryOptions { trusted_proxies: &[], base_path: text, is_tls: false, hsts_seconds: 0 };
            assert_eq!(Ingress::new(options).expect(text).base.as_str(), base);
        }
        for text in ["relive", "//", "//evil.example", "/a//b", "/a/../b", "/a b", "/a?x", "/a%2f", "/ü", "/\"x"] {
            let options = EntryOptions { trusted_proxies: &[], base_path: text, is_tls: false, hsts_seconds: 0 };
            assert!(Ingress::new(options).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_of_this_server_are_given_its_base() {
        let location = |base: &str, location: &'static str| {
            let entry = entry(base, false);
            let path = format!("{base}/");
            let admitted = entry.admit(&mut request(&path, &[]), PROXY).expect("admitted");
            let mut response = Response::new(());
            response.headers_mut().insert(LOCATION, HeaderValue::from_static(location));
            entry.complete(&admitted, &mut response);
            response.headers()[LOCATION].to_str().expect("a text").to_owned()
        };
        assert_eq!(location("/relive", "/api/v1/sessions/1"), "/relive/api/v1/sessions/1");
        assert_eq!(location("", "/api/v1/sessions/1"), "/api/v1/sessions/1");
        for elsewhere in ["https://issuer.example/authorize", "//evil.example/"] {
            assert_eq!(location("/relive", elsewhere), elsewhere);
        }
    }

    #[test]
    fn browsers_are_told_to_stay_with_https_only_where_it_is_used() {
        let has_hsts = |is_tls: bool, peer: &str, headers: &[(&'static str, &'static str)]| {
            let entry = entry("/", is_tls);
            let peer = peer.parse().expect("an address");
            let admitted = entry.admit(&mut request("/", headers), peer).expect("admitted");
            let mut response = Response::new(());
            entry.complete(&admitted, &mut response);
            response.headers().contains_key(STRICT_TRANSPORT_SECURITY)
        };
        let (host, proto) = (("host", "relive.example.org"), ("x-forwarded-proto", "https"));
        assert!(has_hsts(true, "203.0.113.9", &[host]));
        assert!(has_hsts(false, "127.0.0.1", &[host, proto]));
        assert!(!has_hsts(false, "203.0.113.9", &[host, proto]), "not from a proxy");
        assert!(!has_hsts(false, "127.0.0.1", &[host]));
        for local in ["localhost:7400", "relive.localhost", "127.0.0.1:7400", "[::1]:7400"] {
            assert!(!has_hsts(true, "203.0.113.9", &[("host", local)]), "{local}");
        }
    }
}
