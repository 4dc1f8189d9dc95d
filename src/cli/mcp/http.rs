//! Streamable HTTP. Requests stand for themselves: nothing is kept between two, and each brings a token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

use super::handler::{Handler, TokenFrom};
use super::{McpArgs, McpError};
use crate::cli::print_line;
use crate::server::{HttpLimits, serve_router};

/// Bytes of a request.
const REQUEST_BYTES: usize = 1 << 20;
/// Open connections; for further ones, those are closed whose client is waited for.
const CONNECTIONS: usize = 100;
/// For the head of a request, and the wait before it.
const HEAD: Duration = Duration::from_secs(30);
/// Without reading anything of an answer.
const STALL: Duration = Duration::from_secs(30);
/// For a request from its head to its answer.
const REQUEST: Duration = Duration::from_mins(2);
/// For the requests under way when it is stopped.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Serves until Ctrl-C.
pub async fn serve(args: &McpArgs, address: SocketAddr) -> Result<(), McpError> {
    let hosts: Vec<&str> = args.hosts.iter().map(|host| host.trim()).filter(|host| !host.is_empty()).collect();
    if !address.ip().is_loopback() && hosts.is_empty() {
        return Err(McpError::Open(address));
    }
    // Without a token of its own: whoever asks brings one.
    let handler = Handler::new(args.server.api_without_token()?, TokenFrom::OfRequest);
    let listener = TcpListener::bind(address).await.map_err(|error| McpError::Listen { address, error })?;
    let bound = listener.local_addr().unwrap_or(address);
    // Standard output may be closed; it serves nevertheless.
    let _ = print_line(&format!("listening on http://{bound}/mcp"));
    let limits = HttpLimits { head: HEAD, stall: STALL, connections: CONNECTIONS, ..HttpLimits::default() };
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    serve_router(listener, router(handler, &hosts), limits, stop, SHUTDOWN_GRACE).await;
    Ok(())
}

/// A page of another site must not reach it, be it by the address (`Origin`) or by a name of its own that leads to
/// this machine (`Host`).
fn router(handler: Handler, hosts: &[&str]) -> Router {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(["localhost", "127.0.0.1", "::1"].iter().chain(hosts).copied())
        .enforce_origin_validation()
        .with_max_request_body_bytes(REQUEST_BYTES);
    let service =
        StreamableHttpService::new(move || Ok(handler.clone()), Arc::new(NeverSessionManager::default()), config);
    Router::new().route_service("/mcp", service).layer(middleware::from_fn(in_time))
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}
