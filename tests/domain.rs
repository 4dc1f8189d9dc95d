//! The domain by itself, without a database: the two state machines as the protocol's page draws
//! them, and properties of the fold under any sequence of commands.

// A test that meets the unexpected should fail loudly, its helpers included.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::pedantic)]

#[path = "domain/fold.rs"]
mod fold;
#[path = "domain/inside.rs"]
mod inside;
#[path = "domain/instances.rs"]
mod instances;
#[path = "domain/labels.rs"]
mod labels;
#[path = "domain/nodes.rs"]
mod nodes;
#[path = "domain/regressions.rs"]
mod regressions;
#[path = "domain/sessions.rs"]
mod sessions;
#[path = "domain/support.rs"]
mod support;
