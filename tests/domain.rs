//! The domain by itself, without a database: the two state machines as the protocol's page draws
//! them, and properties of the fold under any sequence of commands.

#[path = "domain/fold.rs"]
mod fold;
#[path = "domain/nodes.rs"]
mod nodes;
#[path = "domain/sessions.rs"]
mod sessions;
#[path = "domain/support.rs"]
mod support;
