//! `relive mcp`: the Model Context Protocol, so that assistants can read and steer runs.
//!
//! It is a client of a server, with the rights of whoever uses it: over standard input with the token of the
//! environment, over HTTP with the one that comes with each request.

mod failure;
mod handler;
mod tools;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use rmcp::ServiceExt as _;
use rmcp::transport::stdio;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{ServerArg, complain, exit};
use handler::{Caller, Handler};
use relive_client::ClientError;

/// Bytes of a request.
const REQUEST_BYTES: usize = 1 << 20;

/// What `relive mcp` takes; the long help stands with [`Action`](super::Action).
#[derive(Clone, Debug, clap::Args)]
pub struct McpArgs {
    /// Serve streamable HTTP at `/mcp` on this address, instead of standard input and output.
    #[arg(long, env = "RELIVE_MCP_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Host names, separated by commas, by which it may be addressed over HTTP, besides those of this machine.
    #[arg(long, env = "RELIVE_MCP_HOSTS", value_name = "HOSTS", value_delimiter = ',')]
    pub hosts: Vec<String>,
    #[command(flatten)]
    pub server: ServerArg,
}

#[derive(Debug, thiserror::Error)]
enum McpError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot listen on {address}: {error}")]
    Listen { address: SocketAddr, error: std::io::Error },
    #[error("the connection failed: {0}")]
    Serve(std::io::Error),
    #[error("the client does not speak the protocol: {0}")]
    Begin(String),
}

/// Serves until the client leaves, or Ctrl-C.
pub async fn run(args: McpArgs) -> ExitCode {
    let served = match args.listen {
        Some(address) => serve_http(&args, address).await,
        None => serve_stdio(&args).await,
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match &error {
                McpError::Client(error) => args.server.complain(error),
                error => complain(error),
            }
            exit::code(exit::FAILED)
        }
    }
}

/// Nothing but the protocol is written to the standard output.
async fn serve_stdio(args: &McpArgs) -> Result<(), McpError> {
    let handler = Handler::new(args.server.api()?, Caller::Own);
    let running = handler.serve(stdio()).await.map_err(|error| McpError::Begin(error.to_string()))?;
    tokio::select! {
        ended = running.waiting() => ended.map(|_| ()).map_err(|error| McpError::Serve(error.into())),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn serve_http(args: &McpArgs, address: SocketAddr) -> Result<(), McpError> {
    // Without a token of its own: whoever asks brings one.
    let handler = Handler::new(args.server.api_without_token()?, Caller::OfRequest);
    let listener = TcpListener::bind(address).await.map_err(|error| McpError::Listen { address, error })?;
    let bound = listener.local_addr().unwrap_or(address);
    let stop = CancellationToken::new();
    let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    hosts.extend(args.hosts.iter().map(|host| host.trim().to_owned()).filter(|host| !host.is_empty()));
    // Requests stand for themselves, so nothing is kept between two; and pages of other sites may make none.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .enforce_origin_validation()
        .with_max_request_body_bytes(REQUEST_BYTES)
        .with_cancellation_token(stop.child_token());
    let service =
        StreamableHttpService::new(move || Ok(handler.clone()), Arc::new(NeverSessionManager::default()), config);
    println!("listening on http://{bound}/mcp");
    let shutdown = async move {
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
    };
    let router = Router::new().route_service("/mcp", service);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await.map_err(McpError::Serve)
}
