//! The dashboard: the pages that `make` has built into this server.

use axum::extract::State;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest as _, Sha256};

use super::conditions::is_held;
use super::error::ApiError;
use super::extract::Path;
use super::ingress::PublicBase;
use super::state::App;
use relive_protocol::Problem;

/// How addresses of the dashboard's own files, and of the server, begin in the page.
const RELATIVE: &str = "\"./";

/// The name of an asset contains a hash of its content, so it never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Shown if the server was built without the dashboard.
const NOT_BUILT: &str = include_str!("dashboard.html");

/// In debug builds too, so that a server works without the folder it was built in.
#[derive(RustEmbed)]
#[folder = "dashboard/dist"]
#[allow_missing = true]
struct Files;

/// The dashboard: all sessions, live.
#[utoipa::path(get, path = "/", operation_id = "dashboard", tag = "server", responses(
    (status = 200, description = "A page for people", content_type = "text/html", body = String)
))]
pub async fn index(State(app): State<App>, base: PublicBase, headers: HeaderMap) -> Response {
    page(&app, &base, "index.html", &headers)
}

/// The dashboard: one session.
#[utoipa::path(get, path = "/sessions/{id}", operation_id = "dashboard_session", tag = "server",
    params(("id" = String, Path)), responses(
    (status = 200, description = "A page for people", content_type = "text/html", body = String)
))]
pub async fn session(
    State(app): State<App>,
    base: PublicBase,
    Path(_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    // The page itself finds out whether the session exists.
    page(&app, &base, "index.html", &headers)
}

/// One session, to be shown in a frame of another page: its graph, timeline and messages.
///
/// Which pages may frame it is set by `--frame-ancestors`. A guest's token comes in the fragment, `#token=…`.
#[utoipa::path(get, path = "/embed/sessions/{id}", operation_id = "dashboard_embedded", tag = "server",
    params(("id" = String, Path)), responses(
    (status = 200, description = "A page for frames", content_type = "text/html", body = String)
))]
pub async fn embedded(
    State(app): State<App>,
    base: PublicBase,
    Path(_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    page(&app, &base, "embed.html", &headers)
}

/// The scripts of what is shown on other pages; `relive-session.js` is the web component.
#[utoipa::path(get, path = "/embed/{name}", operation_id = "dashboard_script", tag = "server",
    params(("name" = String, Path)), responses(
    (status = 200, description = "A script", content_type = "text/javascript", body = String),
    (status = 404, description = "No such script", body = Problem),
))]
pub async fn embedded_script(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let path = format!("embed/{name}");
    let (file, is_packed) = find(&path, &headers).ok_or_else(|| ApiError::not_found("script"))?;
    let mut response = answer(&file, &path, is_packed, &headers);
    // Its name stays the same when its content changes.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // A page that isolates itself loads it only with this; it is as public as the rest of the dashboard's files.
    response.headers_mut().insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    Ok(response)
}

/// The dashboard's scripts, styles and pictures.
#[utoipa::path(get, path = "/assets/{name}", operation_id = "dashboard_asset", tag = "server",
    params(("name" = String, Path)), responses(
    (status = 200, description = "A part of the dashboard"),
    (status = 404, description = "No such part", body = Problem),
))]
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let path = format!("assets/{name}");
    let (file, is_packed) = find(&path, &headers).ok_or_else(|| ApiError::not_found("part of the dashboard"))?;
    let mut response = answer(&file, &path, is_packed, &headers);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    Ok(response)
}

/// A page; all addresses of the dashboard return the same one. Revalidated each time, as it names the newest
/// assets.
fn page(app: &App, base: &PublicBase, name: &str, headers: &HeaderMap) -> Response {
    let text = match Files::get(name) {
        Some(file) => based(&String::from_utf8_lossy(&file.data), base),
        None => based(NOT_BUILT, base),
    };
    let tag = entity_tag(&Sha256::digest(&text));
    let shared = [
        (CONTENT_SECURITY_POLICY, app.frame_ancestors.policy()),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if is_held(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, shared, [(ETAG, tag)]).into_response();
    }
    (shared, [(ETAG, tag)], Html(text)).into_response()
}

/// The page, with addresses as the browser knows them: it is shown at addresses of several depths.
fn based(page: &str, base: &PublicBase) -> String {
    page.replace(RELATIVE, &format!("\"{base}/"))
}

/// A file, compressed with gzip if it was built so and the client accepts it.
fn find(path: &str, headers: &HeaderMap) -> Option<(EmbeddedFile, bool)> {
    let takes_gzip = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(accepts_gzip);
    if takes_gzip && let Some(file) = Files::get(&format!("{path}.gz")) {
        return Some((file, true));
    }
    Files::get(path).map(|file| (file, false))
}

fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn answer(file: &EmbeddedFile, path: &str, is_packed: bool, headers: &HeaderMap) -> Response {
    // From the file's own hash: the compressed and the plain form are two files.
    let tag = entity_tag(&file.metadata.sha256_hash());
    let shared = [(ETAG, tag.as_str()), (VARY, "accept-encoding")];
    if is_held(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, shared).into_response();
    }
    let mut response = (shared, [(CONTENT_TYPE, content_type(path))], file.data.clone()).into_response();
    if is_packed {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn entity_tag(hash: &[u8]) -> String {
    format!("\"{:032x}\"", hash.iter().take(16).fold(0_u128, |number, byte| (number << 8) | u128::from(*byte)))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("json" | "map") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::accepts_gzip;

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        for header in ["gzip", "br, gzip", "deflate , GZIP;q=0.5", "gzip;q=1"] {
            assert!(accepts_gzip(header), "{header}");
        }
        for header in ["", "br", "identity", "gzip;q=0", "br, gzip; q=0.0", "x-gzipped"] {
            assert!(!accepts_gzip(header), "{header}");
        }
    }
}
