//! Relive: a WebSocket live-session server for workflow runs.
