//! `relive mcp`: the Model Context Protocol, so that assistants can read and steer runs.
//!
//! It is a client of a server, with the rights of whoever uses it: over standard input with the token of the
//! environment, over HTTP with the one that comes with each request.

mod handler;
mod http;
mod tools;

use std::net::SocketAddr;
use std::process::ExitCode;

use rmcp::ServiceExt as _;
use rmcp::transport::stdio_pipes;

use super::{ServerArg, complain, exit};
use handler::{Handler, TokenFrom};
use relive_client::ClientError;

/// What `relive mcp` takes; the long help stands with [`Action`](super::CliCommand).
#[derive(Clone, Debug, clap::Args)]
pub struct McpArgs {
    /// Serve streamable HTTP at `/mcp` on this address, instead of standard input and output. An address that other
    /// machines can reach needs --hosts as well.
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
    #[error("{0} can be reached from other machines: name the hosts by which it may be addressed with --hosts")]
    Open(SocketAddr),
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
        Some(address) => http::serve(&args, address).await,
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
    let handler = Handler::new(args.server.api()?, TokenFrom::Own);
    let running = handler.serve(stdio_pipes()).await.map_err(|error| McpError::Begin(error.to_string()))?;
    tokio::select! {
        ended = running.waiting() => ended.map(|_| ()).map_err(|error| McpError::Serve(error.into())),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
