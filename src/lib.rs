//! Relive: a WebSocket live-session server for workflow runs.
pub mod config;
pub mod http;
pub mod hub;
pub mod protocol;
pub mod server;
pub mod session;
pub mod storage;
pub mod telemetry;
pub mod ws;
