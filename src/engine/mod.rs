//! Runs graphs: sends commands, reads events, and does the work of the nodes.
//!
//! ```text
//! Plan (what each node does) ─▶ run ─▶ Schedule (what may start, pure)
//!                                │
//!            LinkEvents ────────────▶│─▶ node task ─▶ NodeType: a command, a model, a review …
//!            (pause, signal, …)  │       │
//!                                ▼       ▼
//!                                   SessionLink (status, output, messages, the end)
//! ```
//!
//! A run reaches its session only through [`SessionLink`] and [`LinkEvents`]. `relive run` links to a server over a
//! [`Client`](relive_client::Client), with node types that run on its own machine
//! ([`LocalKinds`]); the server links to its own hub.

mod error;
mod local;
mod node_task;
mod nodes;
mod on_complete;
mod plan;
mod policy;
mod properties;
mod property_names;
mod regions;
mod remote;
mod run;
mod schedule;
mod session_link;
mod supervisor;
pub(crate) mod templates;
mod wall;

pub use error::{LoopError, PlanError};
pub use local::{LocalEvents, LocalLink};
pub use nodes::{
    AttemptResult, End, Forbidden, KEPT_BYTES, LinePrinter, LocalKinds, NodeContext, NodeServices, NodeType,
    ServerKinds, Wait, Wake, Web, WebOptions, Work,
};
pub use plan::{Kinds, Plan, Planned};
pub use policy::{Policy, RunBudget, RunSettings};
pub use remote::{RemoteEvents, RemoteLink};
pub use run::{Control, Ended, Prospects, RunError, RunOptions, run};
pub use schedule::{LoopPast, NodeOutcome, Past, Restored, Round, RunEnd, Schedule, Step};
pub use session_link::{LinkError, LinkEvents, SessionLink};
pub use supervisor::{Engine, EngineOptions};
pub use templates::TemplateError;
pub use wall::WallClock;
