//! What every integration test stands on: a database of its own, a server of its own, and clients
//! that wait for a condition with a deadline, never for time to pass.

pub mod bucket;
mod check;
mod database;
mod disk;
mod embeddings;
mod events;
mod mail;
mod models;
mod nats;
mod node;
mod pgbouncer;
mod postgres;
mod process;
mod programs;
mod provider;
mod proxy;
mod raw;
mod receiver;
mod server;
mod socket;
mod terminal;
mod tls;

use std::time::Duration;

pub use check::{assert_no_internals, assert_problem, chain, context, merge, node};
pub use database::Database;
pub use disk::{SmallDisk, left_out};
pub use embeddings::{EmbeddingsEndpoint, Mood, embedding};
pub use events::{Event, EventSource, Part};
pub use mail::{Mail, MailServer, Taken};
pub use models::{Act, ModelEndpoint, asked};
pub use nats::NatsServer;
pub use node::Script;
pub use pgbouncer::PgBouncer;
pub use postgres::{Network, Postgres, Traffic, WITHIN};
pub use process::{Ran, ServerProcess, relive};
pub use provider::Provider;
pub use proxy::Proxy;
pub use raw::{CONTINUATION, FINAL, RawSocket, TEXT};
pub use receiver::{Answer, Received, Receiver};
pub use server::{TestServer, answer, config, problem};
pub use socket::Socket;
pub use terminal::Terminal;
pub use tls::{Authority, TlsFiles};

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds, looking again every few milliseconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "never happened: {what}");
}
