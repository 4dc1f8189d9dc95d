//! Relive: a WebSocket live-session server for workflow runs.
pub mod hub;
pub mod protocol;
pub mod session;
pub mod storage;
