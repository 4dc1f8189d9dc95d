//! Sends every WebSocket message back, by the server's own reader and writer: `make autobahn` starts it.
//!
//! Prints its address. Takes messages of up to 32 MiB.

use std::io::Write as _;

use tokio::net::TcpListener;

const LARGEST: usize = 32 * 1024 * 1024;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    relive::ws::echo::serve(listener, LARGEST).await
}
