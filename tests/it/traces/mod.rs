//! Traces: which one a session belongs to.

mod context;
