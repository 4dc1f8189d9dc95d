//! Which web pages may use the server, and under which host names.
//!
//! This keeps pages of other sites out, with or without access control. A browser identifies them
//! in three ways: by `Origin`, by `Sec-Fetch-Site`, and, if a foreign DNS name resolves to this server (DNS
//! rebinding), by an unknown `Host`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, HOST, IF_MATCH, IF_NONE_MATCH, LOCATION, ORIGIN, UPGRADE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::error::ApiError;
use super::origin::{Authority, Host, Origin, OriginError};
use relive_protocol::ErrorCode;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Routes that internal tools call by any host name, without a browser, and that change nothing.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The options that the rules are derived from.
#[derive(Clone, Copy, Debug)]
pub struct PageRuleOptions<'a> {
    /// The host the server was told to listen on: a name or an address.
    pub listen: &'a str,
    /// Anonymous access is allowed. Then local host names, such as those of containers, are accepted as well.
    pub is_open: bool,
    /// Origins, besides the server's own, whose pages may use it.
    pub allow_origin: &'a [String],
}

/// The rules. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PageRules {
    allowed: Arc<[Origin]>,
    listen: Option<Host>,
    is_open: bool,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
enum Denied {
    /// No host, two hosts, or an invalid one.
    Host(&'static str),
    /// A host name that a foreign DNS may resolve to this server.
    Name(String),
    /// A page of another site.
    Page(&'static str),
}

impl PageRules {
    /// # Errors
    ///
    /// If an origin could never match, or is `*`.
    pub fn new(options: PageRuleOptions<'_>) -> Result<Self, OriginError> {
        let allowed = options.allow_origin.iter().map(|origin| Origin::of_setting(origin));
        Ok(Self {
            allowed: allowed.collect::<Result<_, _>>()?,
            listen: Host::parse(options.listen).ok(),
            is_open: options.is_open,
        })
    }

    fn check(&self, request: &Request) -> Result<(), Denied> {
        let host = host_of(request)?;
        if let Some(authority) = &host
            && !PROBES.contains(&request.uri().path())
            && !self.answers_to(authority.host())
        {
            return Err(Denied::Name(authority.host().to_string()));
        }
        self.check_page(request, host.as_ref())
    }

    /// Only names can be resolved to this server by a foreign DNS; addresses are safe.
    fn answers_to(&self, host: &Host) -> bool {
        matches!(host, Host::Address(_))
            || host.is_localhost()
            || self.listen.as_ref() == Some(host)
            || (self.is_open && host.is_local_name())
            || self.allowed.iter().any(|origin| origin.host() == host)
    }

    fn check_page(&self, request: &Request, host: Option<&Authority>) -> Result<(), Denied> {
        let headers = request.headers();
        let origin = single(headers, &ORIGIN).map_err(|()| Denied::Page("the request has two Origin headers"))?;
        if let Some(text) = origin {
            let origin = Origin::of_header(text).ok_or(Denied::Page("this page's origin may not use this server"))?;
            if self.allowed.contains(&origin) {
                return Ok(());
            }
            if !host.is_some_and(|host| origin.is_at(host)) {
                return Err(Denied::Page("this page's origin may not use this server"));
            }
        }
        let site = single(headers, &SEC_FETCH_SITE)
            .map_err(|()| Denied::Page("the request has two Sec-Fetch-Site headers"))?;
        let is_own = matches!(site, None | Some("" | "same-origin" | "none"));
        if is_own || !changes_something(request) {
            return Ok(());
        }
        Err(Denied::Page("a page of another site may not change anything here, nor open a socket"))
    }

    /// Lets the pages of configured origins read answers; the server's own need no permission.
    pub fn cross_origin(&self) -> CorsLayer {
        let origins = self.allowed.iter().filter_map(|origin| HeaderValue::from_str(&origin.to_string()).ok());
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, HeaderName::from_static("idempotency-key")])
            .expose_headers([ETAG, LOCATION])
            .max_age(Duration::from_hours(1))
    }
}

/// Following a link to the server changes nothing; a socket accepts commands.
fn changes_something(request: &Request) -> bool {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    !is_read || request.headers().contains_key(UPGRADE)
}

/// The host name that the client used. HTTP/1.0 allows requests without one.
fn host_of(request: &Request) -> Result<Option<Authority>, Denied> {
    const INVALID: Denied = Denied::Host("the Host header names no host");
    let header = single(request.headers(), &HOST).map_err(|()| Denied::Host("the request has two Host headers"))?;
    // An absolute address in the request line takes precedence over the header (RFC 9112, section 3.2.2).
    let text = request.uri().authority().map(axum::http::uri::Authority::as_str).or(header);
    match text {
        Some(text) => Authority::parse(text).map(Some).map_err(|_| INVALID),
        None if request.version() <= Version::HTTP_10 => Ok(None),
        None => Err(Denied::Host("the request has no Host header")),
    }
}

/// The value of a header that may occur only once. One that is not text counts as empty.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(());
    }
    Ok(first.map(|value| value.to_str().unwrap_or("?")))
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Host(problem) => Self::bad_request(problem),
            Denied::Name(name) => {
                let detail = format!(
                    "this server does not go by the name {name}; use its address, or allow the name with \
                     --allow-origin http://{name}"
                );
                Self::new(ErrorCode::Forbidden, detail)
            }
            Denied::Page(problem) => {
                Self::new(ErrorCode::Forbidden, format!("{problem}; allow its origin with --allow-origin"))
            }
        }
    }
}

/// Refuses requests of other sites' pages.
pub async fn check(State(rules): State<PageRules>, request: Request, next: Next) -> Response {
    match rules.check(&request) {
        Ok(()) => next.run(request).await,
        Err(denied) => ApiError::from(denied).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn rules(is_open: bool) -> PageRules {
        let allow_origin = ["https://dash.example.org".to_owned()];
        PageRules::new(PageRuleOptions { listen: "127.0.0.1", is_open, allow_origin: &allow_origin }).expect("rules")
    }

    fn request(method: Method, path: &str, headers: &[(&'static str, &str)]) -> Request {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("an address");
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().expect("a value"));
        }
        request
    }

    fn post(is_open: bool, headers: &[(&'static str, &str)]) -> Result<(), Denied> {
        rules(is_open).check(&request(Method::POST, "/api/v1/sessions", headers))
    }

    #[test]
    fn the_own_page_is_the_one_at_the_host_that_the_client_used() {
        for (host, origin) in [
            ("localhost:8080", "http://localhost:8080"),
            ("127.0.0.1:7400", "http://127.0.0.1:7400"),
            ("127.0.0.1:7400", "https://dash.example.org"),
            ("192.168.0.7:8080", "http://192.168.0.7:8080"),
        ] {
            assert_eq!(post(false, &[("host", host), ("origin", origin)]), Ok(()), "{origin}");
        }
        for (host, origin) in [
            ("127.0.0.1:7400", "http://6.6.6.6:7400"),
            ("127.0.0.1:7400", "http://[2001:db8::1]:7400"),
            ("127.0.0.1:7400", "http://localhost:7400"),
            ("127.0.0.1:7400", "null"),
            ("evil.example:7400", "http://evil.example:7400"),
            ("evil.example", "https://dash.example.org"),
            ("127.0.0.1:7400", "https://dash.example.org.evil.example"),
        ] {
            assert!(post(false, &[("host", host), ("origin", origin)]).is_err(), "{origin}");
        }
        let twice = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://localhost")];
        assert!(matches!(post(false, &twice), Err(Denied::Page(_))));
    }

    #[test]
    fn what_the_browser_says_of_the_page_counts_for_changes_and_sockets() {
        let host = ("host", "localhost:7400");
        for site in ["cross-site", "same-site", "anything"] {
            let site = ("sec-fetch-site", site);
            assert!(post(false, &[host, site]).is_err());
            assert!(post(false, &[host, site, ("origin", "http://localhost:7400")]).is_err());
            assert_eq!(post(false, &[host, site, ("origin", "https://dash.example.org")]), Ok(()));
            let link = request(Method::GET, "/", &[host, site]);
            assert_eq!(rules(false).check(&link), Ok(()), "a link that was followed");
            assert!(rules(false).check(&request(Method::GET, "/ws", &[host, site, ("upgrade", "websocket")])).is_err());
        }
        for site in ["same-origin", "none"] {
            assert_eq!(post(false, &[host, ("sec-fetch-site", site)]), Ok(()));
        }
        assert!(post(false, &[host, ("sec-fetch-site", "none"), ("sec-fetch-site", "none")]).is_err());
    }

    #[test]
    fn names_that_somebody_else_may_have_pointed_here_are_refused() {
        for host in ["localhost:9", "relive.localhost", "127.0.0.1", "[::1]:7400", "10.0.0.1", "dash.example.org"] {
            assert_eq!(post(false, &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["relive:7400", "relive.internal", "relive.default.svc.cluster.local:7400"] {
            assert!(matches!(post(false, &[("host", host)]), Err(Denied::Name(_))), "{host}");
            assert_eq!(post(true, &[("host", host)]), Ok(()), "{host}");
            for probe in PROBES {
                assert_eq!(rules(false).check(&request(Method::GET, probe, &[("host", host)])), Ok(()), "{host}");
            }
        }
        for host in ["evil.example:7400", "localhost.evil.example", "127.0.0.1.nip.io"] {
            assert!(matches!(post(true, &[("host", host)]), Err(Denied::Name(_))), "{host}");
        }
    }

    #[test]
    fn a_request_has_one_host() {
        assert_eq!(post(false, &[]), Err(Denied::Host("the request has no Host header")));
        assert!(matches!(post(false, &[("host", "localhost"), ("host", "localhost")]), Err(Denied::Host(_))));
        for host in ["", "a b", "user@localhost", "localhost:", "localhost:x", "[::1", "a,b"] {
            assert!(matches!(post(false, &[("host", host)]), Err(Denied::Host(_))), "{host}");
        }
        let mut old = request(Method::GET, "/healthz", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(rules(false).check(&old), Ok(()));
        let absolute = request(Method::GET, "http://evil.example/api/v1/sessions", &[("host", "localhost")]);
        assert!(matches!(rules(false).check(&absolute), Err(Denied::Name(_))));
    }

    #[test]
    fn a_star_among_the_origins_is_refused_rather_than_taken_for_all() {
        let allow_origin = ["*".to_owned()];
        let options = PageRuleOptions { listen: "127.0.0.1", is_open: false, allow_origin: &allow_origin };
        assert!(PageRules::new(options).is_err());
    }
}
