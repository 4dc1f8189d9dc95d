//! Traces of OpenTelemetry as sessions: a trace is a session, a span a node.
//!
//! Spans come when they have ended, in any order, twice, over several requests and servers. What a span becomes
//! depends only on the span and on the committed state of its session, and is written on the condition that the
//! state has not changed since: servers that are given parts of the same trace therefore take turns.
//!
//! `docs/opentelemetry.md` says which attribute becomes what.

mod completion;
mod conventions;
mod decode;
mod ingest;
mod lenient_json;
mod mapping;
mod rejected;
mod span;
mod values;

pub use completion::TraceCompleter;
pub use decode::{DecodeError, Encoding, Export, LIMIT};
pub use ingest::Traces;
pub use rejected::Rejected;
