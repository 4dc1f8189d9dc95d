//! Which web pages may use the server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, HOST, IF_MATCH, IF_NONE_MATCH, LOCATION, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::error::ApiError;
use crate::protocol::ErrorCode;

/// Keeps other sites' pages out: a browser sends its page's origin with every WebSocket handshake
/// and every cross-origin request, and its idea of the server's name with every request.
#[derive(Clone, Debug)]
pub struct AccessRules {
    allowed_origins: Arc<[String]>,
    own_port: u16,
}

impl AccessRules {
    /// `own` is the address the server listens on.
    #[must_use]
    pub fn new(own: SocketAddr, allowed_origins: &[String]) -> Self {
        let normalised = |origin: &String| origin.trim().trim_end_matches('/').to_ascii_lowercase();
        Self { allowed_origins: allowed_origins.iter().map(normalised).collect(), own_port: own.port() }
    }

    fn allow(&self, headers: &HeaderMap) -> bool {
        let header = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        header(ORIGIN).is_none_or(|origin| self.allows_origin(origin))
            && header(HOST).is_none_or(|host| self.allows_host(host))
    }

    /// The server's own origin is any of its addresses at its own port. Only names can be made to
    /// point here by somebody else's DNS, so `localhost` is the only name among them.
    fn allows_origin(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let own = origin.strip_prefix("http://").is_some_and(|host| {
            let (name, port) = split_port(host);
            is_address(name) && port.unwrap_or(80) == self.own_port
        });
        own || self.allowed_origins.contains(&origin)
    }

    fn allows_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let is_allowed = |origin: &String| origin.split_once("://").is_some_and(|(_, name)| name == host);
        is_address(split_port(&host).0) || self.allowed_origins.iter().any(is_allowed)
    }
}

fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, None),
    }
}

fn is_address(name: &str) -> bool {
    name == "localhost" || name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

impl AccessRules {
    /// Lets the pages of configured origins read answers; the server's own need no permission.
    pub fn cross_origin(&self) -> CorsLayer {
        let origins = self.allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, HeaderName::from_static("idempotency-key")])
            .expose_headers([ETAG, LOCATION])
            .max_age(Duration::from_hours(1))
    }
}

/// Refuses requests of foreign pages.
pub async fn check(State(rules): State<AccessRules>, request: Request, next: Next) -> Response {
    if rules.allow(request.headers()) {
        return next.run(request).await;
    }
    let detail = "this page's origin may not use this server; allow it with --allow-origin";
    ApiError::new(ErrorCode::Forbidden, detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_and_configured_origins_pass_and_no_others() {
        let rules = AccessRules::new(([127, 0, 0, 1], 7400).into(), &["https://Dash.example.org/".to_owned()]);
        for origin in
            ["http://127.0.0.1:7400", "http://localhost:7400", "http://[::1]:7400", "https://dash.example.org"]
        {
            assert!(rules.allows_origin(origin), "{origin}");
        }
        for origin in ["http://127.0.0.1:7401", "http://evil.example:7400", "null", "http://localhost.evil:7400", ""] {
            assert!(!rules.allows_origin(origin), "{origin}");
        }
    }

    #[test]
    fn a_name_that_somebody_else_points_here_is_refused() {
        let rules = AccessRules::new(([127, 0, 0, 1], 7400).into(), &["https://dash.example.org".to_owned()]);
        for host in ["localhost:7400", "127.0.0.1:9999", "[::1]", "dash.example.org"] {
            assert!(rules.allows_host(host), "{host}");
        }
        assert!(!rules.allows_host("rebound.example:7400"));
    }
}
