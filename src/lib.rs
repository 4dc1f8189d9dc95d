//! Relive: a WebSocket live-session server for workflow runs.

pub mod storage;
