//! Runs a graph from outside the server: sends commands, listens to events, and does the work of
//! the nodes in between, on this machine.
//!
//! ```text
//! Plan (what each node does) ─▶ run ─▶ Schedule (what may start, pure)
//!                                │
//!            Events ────────────▶│─▶ node task ─▶ sh -c …
//!            (pause, signal, …)  │       │
//!                                ▼       ▼
//!                              Commands (status, progress, output, the end)
//! ```
//!
//! [`Commands`] and [`Events`] are all a run knows of its session, so that it can be driven over a
//! [`Client`](crate::client::Client) or within the server's own process.

mod command_node;
mod driver;
mod node_task;
mod output;
mod plan;
mod process;
mod regions;
mod run;
mod schedule;

pub use driver::{Commands, DriverError, Events, RemoteCommands};
pub use output::KEPT_BYTES;
pub use plan::{CommandSpec, Plan, PlanError, Work};
pub use regions::LoopError;
pub use run::{Ended, RunError, RunOptions, run};
pub use schedule::{LoopPast, Outcome, Past, Restored, Round, Schedule, Step, Verdict};
