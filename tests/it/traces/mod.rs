//! Traces: which one a session belongs to, and those that the server exports: docs/traces.md.

mod collector;
mod context;
mod out;
