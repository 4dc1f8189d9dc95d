//! HTTP transport: parse, call, encode. No rules and no SQL.

mod archive;
mod bodies;
mod catalog;
mod commands;
pub(crate) mod conditions;
mod dashboard;
mod error;
mod extract;
mod forks;
mod history;
mod idempotency;
mod memories;
mod messages;
mod observe;
mod openapi;
pub(crate) mod origin;
mod page_rules;
mod parameters;
mod probes;
mod responses;
mod router;
pub(crate) mod session_query;
mod sessions;
mod sockets;
mod state;
mod tokens;
mod usage;

pub use bodies::{BodyLimits, HangUp};
pub use origin::OriginError;
pub use page_rules::{PageRuleOptions, PageRules};
pub use router::router;
pub use state::App;
