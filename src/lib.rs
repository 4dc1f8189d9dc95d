//! Relive: a WebSocket live-session server for workflow runs.
pub mod cli;
pub mod client;
pub mod engine;
pub mod protocol;
pub mod session;
