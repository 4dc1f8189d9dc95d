//! CORS, CSRF and DNS rebinding: which web pages may use the server, and under which host names.
//!
//! This keeps pages of other sites out, with or without access control. A browser identifies them
//! in three ways: by `Origin`, by `Sec-Fetch-Site`, and, if a foreign DNS name resolves to this server (DNS
//! rebinding), by an unknown `Host`. The last cannot happen over HTTPS, where the browser has checked the
//! certificate against the name.
//!
//! A page of another site can make a browser send some requests without asking (forms, "simple" requests). So
//! none of their content types is accepted for JSON, and the session cookie counts for nothing without proof
//! that the request is made by a page of this server.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CONTENT_TYPE, COOKIE, ETAG, HOST, IF_MATCH, IF_NONE_MATCH, LOCATION,
    ORIGIN, REFERER, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::client_address::ClientAddress;
use super::error::ApiError;
use super::origin::{Authority, Host, OriginError, WebOrigin};
use crate::access::Access;
use relive_protocol::ErrorCode;

/// The revision that a client held when its event stream was cut off, as it sends it when it connects again.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The cookie of a person who has signed in.
pub const SESSION_COOKIE: &str = "relive_session";
/// How a token begins among the subprotocols of a WebSocket handshake.
pub const BEARER_PROTOCOL: &str = "base64url.bearer.relive.";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Routes that internal tools call by any host name, without a browser, and that change nothing.
pub(super) const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The options that the rules are derived from.
#[derive(Clone, Copy, Debug)]
pub struct CrossSiteOptions<'a> {
    /// The host the server was told to listen on: a name or an address.
    pub listen: &'a str,
    /// Anonymous access is allowed. Then local host names, such as those of containers, are accepted as well.
    pub is_open: bool,
    /// Origins, besides the server's own, whose pages may use it.
    pub allow_origin: &'a [String],
}

/// The rules. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CrossSiteRules {
    allowed: Arc<[WebOrigin]>,
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
    /// Nothing proves that a request with a session cookie was made by a page of this server.
    Cookie,
    /// A content type that pages of other sites can send without asking.
    Content,
}

impl CrossSiteRules {
    /// # Errors
    ///
    /// If an origin could never match, or is `*`.
    pub fn new(options: CrossSiteOptions<'_>) -> Result<Self, OriginError> {
        let allowed = options.allow_origin.iter().map(|origin| WebOrigin::of_setting("--allow-origin", origin));
        Ok(Self {
            allowed: allowed.collect::<Result<_, _>>()?,
            listen: Host::parse(options.listen).ok(),
            is_open: options.is_open,
        })
    }

    /// Where requests need a credential, any name will do: a page of a name that was pointed here has none.
    fn check(&self, request: &Request, is_guarded: bool) -> Result<(), Denied> {
        let host = host_of(request)?;
        let client = request.extensions().get().copied().unwrap_or(ClientAddress::NONE);
        if let Some(authority) = &host
            && !is_guarded
            && !client.is_https()
            && !PROBES.contains(&request.uri().path())
            && !self.answers_to(authority.host())
        {
            return Err(Denied::Name(authority.host().to_string()));
        }
        let page = self.page_of(request, client, host.as_ref())?;
        if !changes_something(request) {
            return Ok(());
        }
        match page {
            Page::Other => {
                return Err(Denied::Page("a page of another site may not change anything here, nor open a socket"));
            }
            Page::Configured | Page::None if has_session_cookie(request.headers()) => return Err(Denied::Cookie),
            Page::Own | Page::Configured | Page::None => {}
        }
        if is_simple_content(request.headers()) { Err(Denied::Content) } else { Ok(()) }
    }

    /// Only names can be resolved to this server by a foreign DNS; addresses are safe.
    fn answers_to(&self, host: &Host) -> bool {
        matches!(host, Host::Address(_))
            || host.is_localhost()
            || self.listen.as_ref() == Some(host)
            || (self.is_open && host.is_local_name())
            || self.allowed.iter().any(|origin| origin.host() == host)
    }

    /// The page that makes the request, as the browser tells.
    fn page_of(&self, request: &Request, client: ClientAddress, host: Option<&Authority>) -> Result<Page, Denied> {
        const FOREIGN: Denied = Denied::Page("this page's origin may not use this server");
        let headers = request.headers();
        let origin = single(headers, &ORIGIN).map_err(|()| Denied::Page("the request has two Origin headers"))?;
        let mut page = Page::None;
        if let Some(text) = origin {
            let origin = WebOrigin::of_header(text).ok_or(FOREIGN)?;
            if host.is_some_and(|host| origin.is_at(client.scheme, host)) {
                page = Page::Own;
            } else if self.allowed.contains(&origin) {
                return Ok(Page::Configured);
            } else {
                return Err(FOREIGN);
            }
        }
        let site = single(headers, &SEC_FETCH_SITE)
            .map_err(|()| Denied::Page("the request has two Sec-Fetch-Site headers"))?;
        Ok(match site {
            Some("same-origin") => Page::Own,
            // `none`: not made by a page, but by the person.
            None | Some("" | "none") => page,
            // A configured origin may have the name that the server is addressed by.
            Some(_) if origin.and_then(WebOrigin::of_header).is_some_and(|origin| self.allowed.contains(&origin)) => {
                Page::Configured
            }
            Some(_) => Page::Other,
        })
    }

    /// Lets the pages of configured origins read answers; the server's own need no permission.
    pub fn cross_origin(&self) -> CorsLayer {
        let origins = self.allowed.iter().filter_map(|origin| HeaderValue::from_str(&origin.to_string()).ok());
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                AUTHORIZATION,
                CONTENT_TYPE,
                IF_MATCH,
                IF_NONE_MATCH,
                HeaderName::from_static("idempotency-key"),
                LAST_EVENT_ID,
                HeaderName::from_static("relive-project"),
                HeaderName::from_static("traceparent"),
                HeaderName::from_static("tracestate"),
            ])
            .expose_headers([ETAG, LOCATION, RETRY_AFTER])
            .max_age(Duration::from_hours(1))
    }
}

/// The page that makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// Of this server.
    Own,
    /// Of an origin that is configured.
    Configured,
    /// Of another site.
    Other,
    /// None, as far as is known: a program, or the person at the browser.
    None,
}

/// Whether the request is to count as that of a person who has signed in: it has the cookie, and no credential
/// that a page has to know.
fn has_session_cookie(headers: &HeaderMap) -> bool {
    let has_cookie = headers.get_all(COOKIE).iter().any(|value| {
        let names =
            value.as_bytes().split(|byte| *byte == b';').filter_map(|pair| pair.split(|byte| *byte == b'=').next());
        names.map(<[u8]>::trim_ascii).any(|name| name == SESSION_COOKIE.as_bytes())
    });
    // Of other schemes the server takes no credential, and a browser may add one by itself.
    let is_bearer =
        |value: &HeaderValue| value.as_bytes().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
    let has_token = headers.get_all(AUTHORIZATION).iter().any(is_bearer)
        || headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|protocol| protocol.trim().starts_with(BEARER_PROTOCOL)));
    has_cookie && !has_token
}

/// Whether the content has one of the types that forms have, and pages may send anywhere without asking. That of
/// HTML forms is also what curl says of anything; there it is refused only to browsers that do not say which page
/// it comes from. An `Origin` was compared with the server's own before.
fn is_simple_content(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter().map(|value| {
        let essence = value.as_bytes().split(|byte| matches!(byte, b';' | b',')).next().unwrap_or_default();
        essence.trim_ascii().to_ascii_lowercase()
    });
    let is_of_browser = !headers.contains_key(ORIGIN)
        && [SEC_FETCH_SITE, COOKIE, REFERER].iter().any(|name| headers.contains_key(name));
    types.any(|essence| match &*essence {
        b"text/plain" | b"multipart/form-data" => true,
        b"application/x-www-form-urlencoded" => is_of_browser,
        _ => false,
    })
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

/// The host and port as the client has them; `None` without a valid one.
pub(super) fn host_name(request: &Request) -> Option<String> {
    host_of(request).ok()?.map(|authority| authority.to_string())
}

/// The text of a header that may occur only once; `?` if it is none.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let value = super::extract::single(headers, name.as_str()).map_err(drop)?;
    Ok(value.map(|value| value.to_str().unwrap_or("?")))
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
            Denied::Cookie => {
                let detail = "a change with the cookie of a session has to come from a page of this server, as Origin or \
                              Sec-Fetch-Site tell; programs use a key (Authorization: Bearer)";
                Self::new(ErrorCode::Forbidden, detail)
            }
            Denied::Content => {
                Self::bad_request("send JSON as application/json (with curl: --json), not as a form or text")
                    .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Denied::Page(problem) => {
                Self::new(ErrorCode::Forbidden, format!("{problem}; allow its origin with --allow-origin"))
            }
        }
    }
}

/// Refuses requests of other sites' pages.
pub async fn check(State((rules, access)): State<(CrossSiteRules, Access)>, request: Request, next: Next) -> Response {
    match rules.check(&request, access.is_required()) {
        Ok(()) => next.run(request).await,
        Err(denied) => refusal(denied, request.method()),
    }
}

/// Pages that are refused may read why. A script otherwise sees only that a request or a handshake failed, and would
/// try again for ever.
fn refusal(denied: Denied, method: &Method) -> Response {
    let is_readable = matches!(denied, Denied::Page(_) | Denied::Name(_)) && *method != Method::OPTIONS;
    let mut response = ApiError::from(denied).into_response();
    if is_readable {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::super::client_address::Scheme;
    use super::*;

    fn rules(is_open: bool) -> CrossSiteRules {
        let allow_origin = ["https://dash.example.org".to_owned()];
        CrossSiteRules::new(CrossSiteOptions { listen: "127.0.0.1", is_open, allow_origin: &allow_origin })
            .expect("rules")
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
        rules(is_open).check(&request(Method::POST, "/api/v1/sessions", headers), false)
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
            assert_eq!(rules(false).check(&link, false), Ok(()), "a link that was followed");
            assert!(
                rules(false)
                    .check(&request(Method::GET, "/ws", &[host, site, ("upgrade", "websocket")]), false)
                    .is_err()
            );
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
                assert_eq!(
                    rules(false).check(&request(Method::GET, probe, &[("host", host)]), false),
                    Ok(()),
                    "{host}"
                );
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
        assert_eq!(rules(false).check(&old, false), Ok(()));
        let absolute = request(Method::GET, "http://evil.example/api/v1/sessions", &[("host", "localhost")]);
        assert!(matches!(rules(false).check(&absolute, false), Err(Denied::Name(_))));
    }

    fn of_scheme(scheme: Scheme, mut request: Request) -> Request {
        let client = ClientAddress { scheme: Some(scheme), ..ClientAddress::NONE };
        request.extensions_mut().insert(client);
        request
    }

    #[test]
    fn where_the_scheme_is_known_it_has_to_be_that_of_the_page() {
        let from = |scheme, origin: &str| {
            let headers = [("host", "localhost:7400"), ("origin", origin)];
            rules(false).check(&of_scheme(scheme, request(Method::POST, "/api/v1/sessions", &headers)), false)
        };
        assert_eq!(from(Scheme::Https, "https://localhost:7400"), Ok(()));
        assert_eq!(from(Scheme::Http, "http://localhost:7400"), Ok(()));
        assert!(matches!(from(Scheme::Https, "http://localhost:7400"), Err(Denied::Page(_))));
        assert!(matches!(from(Scheme::Http, "https://localhost:7400"), Err(Denied::Page(_))));
        assert_eq!(from(Scheme::Http, "https://dash.example.org"), Ok(()), "configured");
    }

    #[test]
    fn a_name_that_a_browser_has_checked_by_its_certificate_is_no_rebound_one() {
        let called = |scheme| {
            let request = request(Method::POST, "/api/v1/sessions", &[("host", "relive.example.org")]);
            rules(false).check(&of_scheme(scheme, request), false)
        };
        assert_eq!(called(Scheme::Https), Ok(()));
        assert!(matches!(called(Scheme::Http), Err(Denied::Name(_))));
    }

    #[test]
    fn a_change_with_the_session_cookie_comes_from_an_own_page() {
        let host = ("host", "localhost:7400");
        for cookie in ["relive_session=x", "a=b; relive_session=x", "a=b;relive_session=", "relive_session"] {
            let cookie = ("cookie", cookie);
            assert_eq!(post(false, &[host, cookie]), Err(Denied::Cookie), "{cookie:?}");
            assert_eq!(post(false, &[host, cookie, ("sec-fetch-site", "none")]), Err(Denied::Cookie));
            assert_eq!(post(false, &[host, cookie, ("origin", "https://dash.example.org")]), Err(Denied::Cookie));
            assert_eq!(post(false, &[host, cookie, ("origin", "http://localhost:7400")]), Ok(()));
            assert_eq!(post(false, &[host, cookie, ("sec-fetch-site", "same-origin")]), Ok(()));
            assert!(post(false, &[host, cookie, ("sec-fetch-site", "same-site")]).is_err());
            // What a page has to know and a browser does not add by itself.
            assert_eq!(post(false, &[host, cookie, ("authorization", "Bearer x")]), Ok(()));
            let token = ("sec-websocket-protocol", "relive.v1, base64url.bearer.relive.eA");
            let socket =
                |headers: &[(&'static str, &str)]| rules(false).check(&request(Method::GET, "/ws", headers), false);
            assert_eq!(socket(&[host, cookie, ("upgrade", "websocket"), token]), Ok(()));
            let version = ("sec-websocket-protocol", "relive.v1");
            assert_eq!(socket(&[host, cookie, ("upgrade", "websocket"), version]), Err(Denied::Cookie));
            assert_eq!(socket(&[host, cookie]), Ok(()), "nothing is changed");
        }
        for other in ["a=b", "x_relive_session=x", "relive_session2=x", "a=relive_session"] {
            assert_eq!(post(false, &[host, ("cookie", other)]), Ok(()), "{other}");
        }
        assert_eq!(post(false, &[host, ("cookie", "a=b"), ("cookie", "relive_session=x")]), Err(Denied::Cookie));
    }

    #[test]
    fn what_a_page_may_send_without_asking_is_not_taken_for_json() {
        let host = ("host", "localhost:7400");
        for content in ["text/plain", "Text/Plain;charset=UTF-8", "multipart/form-data; boundary=x", "text/plain, x"] {
            assert_eq!(post(false, &[host, ("content-type", content)]), Err(Denied::Content), "{content}");
        }
        let form = ("content-type", "application/x-www-form-urlencoded");
        assert_eq!(post(false, &[host, form]), Ok(()), "curl says so of anything");
        let own = ("origin", "http://localhost:7400");
        assert_eq!(post(false, &[host, form, own]), Ok(()), "a page of the server itself");
        for browser in [("sec-fetch-site", "none"), ("cookie", "a=b"), ("referer", "http://localhost:7400/")] {
            assert_eq!(post(false, &[host, form, browser]), Err(Denied::Content), "{browser:?}");
        }
        for content in ["application/json", "application/x-ndjson", "application/x-protobuf", ""] {
            assert_eq!(post(false, &[host, ("content-type", content)]), Ok(()), "{content}");
        }
    }

    #[test]
    fn a_star_among_the_origins_is_refused_rather_than_taken_for_all() {
        let allow_origin = ["*".to_owned()];
        let options = CrossSiteOptions { listen: "127.0.0.1", is_open: false, allow_origin: &allow_origin };
        assert!(CrossSiteRules::new(options).is_err());
    }
}
