//! Streamable HTTP. Requests stand for themselves: nothing is kept between two, and each brings a token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::handler::{Handler, TokenFrom};
use super::{McpArgs, McpError};

/// Bytes of a request.
const REQUEST_BYTES: usize = 1 << 20;
/// Open connections; further ones wait to be accepted.
const CONNECTIONS: usize = 100;
/// For the head of a request, and the wait before it.
const HEAD: Duration = Duration::from_secs(30);
/// For a request from its head to its answer.
const REQUEST: Duration = Duration::from_mins(2);
/// For the requests under way when it is stopped.
const FAREWELL: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

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
    println!("listening on http://{bound}/mcp");
    accept(listener, router(handler, &hosts)).await;
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

async fn accept(listener: TcpListener, router: Router) {
    let (places, graceful) = (Arc::new(Semaphore::new(CONNECTIONS)), GracefulShutdown::new());
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            (accepted, place) = accepted => match (accepted, place) {
                (Ok((tcp, _)), Ok(place)) => serve_one(tcp, router.clone(), place, &graceful),
                _ => tokio::time::sleep(PAUSE).await,
            },
            _ = &mut stop => break,
        }
    }
    // Those that take longer are cut off by the end of the process.
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
}

fn serve_one(tcp: TcpStream, router: Router, place: OwnedSemaphorePermit, graceful: &GracefulShutdown) {
    // Without it answers are only slower.
    let _ = tcp.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(tcp), TowerToHyperService::new(router));
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // A client that leaves, or does not speak HTTP, is no concern of the others.
        let _ = connection.await;
        drop(place);
    });
}
