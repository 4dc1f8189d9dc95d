//! A span, a log line and metrics for every request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::client_address::ClientAddress;
use super::trace_context::trace_context;
use crate::access::KEY_PREFIX;
use crate::spans::{Span, SpanKind, Tracer};

/// The id of a request, as in the log.
#[derive(Clone, Copy, Debug)]
pub struct RequestId(pub uuid::Uuid);

/// Wraps a request. The span's fields have few values, except the request's own id.
pub async fn observe(State(tracer): State<Tracer>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = label(request.method());
    let id = uuid::Uuid::now_v7();
    request.extensions_mut().insert(RequestId(id));
    let session = session_of(&route, request.uri().path());
    let mut recorded = span_of(&tracer, method, &route, &request);
    if let Some(span) = &mut recorded {
        span.set("relive.request.id", id.to_string());
        if let Some(session) = session {
            span.set("relive.session.id", session.to_string());
        }
        request.extensions_mut().insert(span.parent());
    }
    let trace =
        recorded.as_ref().map(|span| tracing::field::display(format!("{:032x}", span.context().parent.trace_id)));
    let span =
        tracing::info_span!("request", %id, method, route, session = session.map(tracing::field::display), trace);
    let started = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let (status, seconds) = (response.status().as_u16(), started.elapsed().as_secs_f64());
    span.in_scope(|| tracing::debug!(status, seconds, "answered"));
    if let Some(mut recorded) = recorded {
        recorded.set("http.response.status_code", i64::from(status));
        if status >= 500 {
            recorded.fail(status.to_string());
        }
    }
    let labels = [("route", route.clone()), ("method", method.to_owned()), ("status", status.to_string())];
    metrics::counter!("relive_http_requests_total", &labels).increment(1);
    metrics::histogram!("relive_http_seconds", "route" => route).record(seconds);
    response
}

/// Requests of which no spans are made: those that come all the time, and exports of spans, as one export would lead to
/// the next.
const NOT_RECORDED: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/v1/traces"];

/// The request as a span, by the semantic conventions for HTTP; `None` if its trace is not recorded.
fn span_of(tracer: &Tracer, method: &'static str, route: &str, request: &Request) -> Option<Span> {
    if !tracer.is_on() || NOT_RECORDED.contains(&route) {
        return None;
    }
    let from = trace_context(request.headers());
    let mut span = tracer.root(SpanKind::Server, from.as_ref(), || format!("{method} {route}"))?;
    // As the conventions name a method that is none of HTTP's.
    span.set("http.request.method", if method == "other" { "_OTHER" } else { method });
    span.set("http.route", route.to_owned());
    span.set("url.path", without_secrets(request.uri().path()));
    let is_https = request.extensions().get::<ClientAddress>().is_some_and(ClientAddress::is_https);
    span.set("url.scheme", if is_https { "https" } else { "http" });
    Some(span)
}

/// A path as it is recorded. A key or a token does not belong into it, but somebody may try to revoke it by its text.
pub(super) fn without_secrets(path: &str) -> String {
    let is_secret = |part: &&str| part.starts_with(KEY_PREFIX) || part.starts_with("eyJ");
    let parts = path.split('/').map(|part| if is_secret(&part) { "…" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// The id of the session that a request is about, so that every line logged for it has both ids.
fn session_of(route: &str, path: &str) -> Option<uuid::Uuid> {
    let place = route.split('/').collect::<Vec<_>>().windows(2).position(|parts| parts == ["sessions", "{id}"])?;
    path.split('/').nth(place + 1)?.parse().ok()
}

/// The method, as a label: clients can invent methods, and each would create a series.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::session_of;

    #[test]
    fn the_session_of_a_request_is_that_of_its_path() {
        let id: uuid::Uuid = "0198c0de-0000-7000-8000-000000000001".parse().expect("an id");
        let route = "/api/v1/sessions/{id}/nodes/{nodeId}";
        assert_eq!(session_of(route, &format!("/api/v1/sessions/{id}/nodes/a")), Some(id));
        assert_eq!(session_of("/ws/sessions/{id}", &format!("/ws/sessions/{id}")), Some(id));
        assert_eq!(session_of(route, "/api/v1/sessions/x/nodes/a"), None);
        assert_eq!(session_of("/api/v1/sessions", "/api/v1/sessions"), None);
        assert_eq!(session_of("/api/v1/workflows/{id}", &format!("/api/v1/workflows/{id}")), None);
    }
}
