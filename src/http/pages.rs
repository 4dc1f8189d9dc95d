//! The page for people: the sessions, live.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse};

/// The page loads nothing from anywhere else, and cannot be framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page that shows the sessions live.
#[utoipa::path(get, path = "/", tag = "server", responses(
    (status = 200, description = "A page for people", content_type = "text/html", body = String)
))]
pub async fn index() -> impl IntoResponse {
    ([(CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("page/index.html")))
}

/// The page's script.
#[utoipa::path(get, path = "/page.js", tag = "server", responses((status = 200, description = "The page's script")))]
pub async fn script() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "no-cache")];
    (headers, include_str!("page/page.js"))
}

/// The page's style sheet.
#[utoipa::path(get, path = "/page.css", tag = "server", responses((status = 200, description = "The page's style")))]
pub async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "no-cache")], include_str!("page/page.css"))
}
