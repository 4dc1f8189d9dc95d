//! Relive: a WebSocket live-session server for workflow runs.
//!
//! An engine drives a session by commands; every change is committed to PostgreSQL and then shown
//! to whoever watches. `ARCHITECTURE.md` has the map and walkthroughs: a command, a viewer, a replay, a
//! restart, a memory.
//!
//! The library is what the `relive` program is made of. An engine in Rust can use [`client`] to
//! drive a server from outside, or [`server`] and [`hub`] to live in the server's own process.

pub mod archive;
pub mod cli;
pub mod client;
pub mod config;
pub mod embeddings;
pub mod endpoint;
pub mod engine;
pub mod http;
pub mod hub;
pub mod models;
pub mod protocol;
pub mod replay;
pub mod server;
pub mod session;
pub mod storage;
mod sync;
pub mod telemetry;
pub mod ws;
