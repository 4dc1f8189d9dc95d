//! The node types: one file each, all behind [`NodeType`].
//!
//! A type reads its properties once, when the graph is planned; then its attempts are run. A type never
//! reports a status itself: it returns how the attempt ended, and the engine makes that durable together
//! with everything else that the attempt produced.

mod ask;
mod body;
mod choice;
mod command;
mod context;
mod context_synth;
mod delay;
mod fact_check;
mod human_review;
mod llm;
mod local;
mod loop_node;
mod memory_retrieval;
pub(super) mod on_complete;
mod output;
mod process;
mod score;
mod server;
mod services;
mod structural;
mod tool;
mod unpack;
mod vote;
mod web;

use std::fmt::Debug;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;

use relive_session::{Command, NodeId, Timestamp};

pub use command::LinePrinter;
pub use context::NodeContext;
pub use local::LocalKinds;
pub use output::KEPT_BYTES;
pub use server::ServerKinds;
pub use services::NodeServices;
pub use web::{Forbidden, Web, WebOptions};

/// How an attempt ended, with what it produced.
#[derive(Debug)]
pub struct AttemptResult {
    /// Carried out together with the report of the end, atomically.
    pub commands: Vec<Command>,
    pub end: End,
}

/// How an attempt ended.
#[derive(Debug)]
pub enum End {
    Completed(Value),
    Failed {
        error: String,
        output: Option<Value>,
    },
    /// Waits for a signal or until the type's [`Wait`] is over.
    Waits,
    /// Of a node that chooses: completed, and only these of its next nodes follow.
    Chose {
        output: Value,
        next_ids: Vec<NodeId>,
    },
    /// Of a loop node: whether it is left before the limit of rounds, and the round's score.
    Decided {
        leave: bool,
        score: Option<f64>,
    },
    /// Cancelled, because the run ends; there is nothing to report.
    Stopped,
}

impl AttemptResult {
    #[must_use]
    pub fn completed(output: Value) -> Self {
        Self { commands: Vec::new(), end: End::Completed(output) }
    }

    #[must_use]
    pub fn failed(error: impl Into<String>) -> Self {
        Self { commands: Vec::new(), end: End::Failed { error: error.into(), output: None } }
    }

    #[must_use]
    pub fn bare(end: End) -> Self {
        Self { commands: Vec::new(), end }
    }

    #[must_use]
    pub fn with(self, commands: Vec<Command>) -> Self {
        Self { commands, ..self }
    }
}

/// An outcome or an error's text, for types that can use `?`.
impl From<Result<Value, String>> for AttemptResult {
    fn from(result: Result<Value, String>) -> Self {
        result.map_or_else(Self::failed, Self::completed)
    }
}

/// How a node waits. It occupies no task and no slot meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// From the attempt's start; then [`NodeType::wake`] is called with [`Wake::Due`].
    pub due: Option<Duration>,
    /// Whether it waits as `suspended`, for a signal, or as `running`.
    pub suspended: bool,
}

/// What ends a wait.
#[derive(Clone, Debug)]
pub enum Wake {
    Signal { payload: Value, at: Timestamp },
    Due,
}

/// How the engine runs a type's attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Takes no time and has no side effects: start and end are reported together, and it occupies none of the
    /// slots of nodes that run at the same time.
    Structural,
    /// Occupies a slot. Cancelled by dropping it, also at its time limit.
    Task,
    /// Occupies a slot, and handles [`NodeContext::stop`] and its time limit itself.
    Guarded,
}

/// One type of node, with its properties.
pub trait NodeType: Debug + Send + Sync + 'static {
    /// One attempt.
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult>;

    fn work(&self) -> Work {
        Work::Task
    }

    /// How the type waits after [`End::Waits`]; `None` for a type that never does.
    fn wait(&self) -> Option<Wait> {
        None
    }

    /// Whether [`NodeType::wake`] can use a signal.
    ///
    /// # Errors
    ///
    /// Why not, as a text for the sender.
    fn check_signal(&self, payload: &Value) -> Result<(), String> {
        let _ = payload;
        Ok(())
    }

    /// Ends a wait, or returns [`End::Waits`] to go on with it.
    fn wake<'a>(&'a self, context: &'a NodeContext, wake: Wake) -> BoxFuture<'a, AttemptResult> {
        let _ = (context, wake);
        Box::pin(async { AttemptResult::completed(Value::Null) })
    }

    /// Whether attempts choose which of the next nodes follow.
    fn decides(&self) -> bool {
        false
    }

    /// Whether attempts ask a model.
    fn needs_model(&self) -> bool {
        false
    }
}
