//! Relive: a WebSocket live-session server for workflow runs.
//!
//! An engine drives a session by commands; every change is committed to PostgreSQL and then sent to all
//! viewers. `ARCHITECTURE.md` has the rules and the map on one page, `docs/` the details by subject.
//!
//! The library is used by the `relive` program. An engine in Rust outside the server uses the
//! crate `relive-client`; one in the server's own process uses [`server`] and [`hub`].

pub mod access;
pub mod alerts;
pub mod archive;
pub mod cli;
pub mod config;
pub mod embeddings;
pub mod endpoint;
pub mod engine;
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod hub;
pub mod models;
pub mod nats;
pub mod otlp;
pub mod replay;
pub mod schedules;
pub mod scoped;
pub mod server;
pub mod spans;
pub mod storage;
mod sync;
pub mod telemetry;
pub mod version;
pub mod webhooks;
pub mod ws;
