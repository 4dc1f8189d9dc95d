//! What nodes do: one file for each type, all behind [`NodeType`].
//!
//! A type reads its properties once, when the graph is planned, and is then asked for attempts. It
//! never reports a status itself: it says how the attempt ended, and the engine makes that durable
//! together with whatever else the attempt has to leave behind.

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

pub use context::NodeContext;
pub use local::LocalKinds;
pub use output::KEPT_BYTES;
pub use server::ServerKinds;
pub use services::NodeServices;
pub use web::{Forbidden, Web, WebOptions};

/// How an attempt ended, with what else it leaves behind.
#[derive(Debug)]
pub struct AttemptResult {
    /// Carried out together with the report of the end: all or nothing.
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
    /// Nothing more to do until a signal comes or the type's [`Wait`] is over.
    Waits,
    /// Of a node that decides: completed, and only these of its next nodes follow.
    Chose {
        output: Value,
        next_ids: Vec<NodeId>,
    },
    /// Of a loop node: whether it is left before its rounds are over, and what the round scored.
    Decided {
        leave: bool,
        score: Option<f64>,
    },
    /// Let go, because the run ends; there is nothing to report.
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

/// How a waiting node waits. It holds no task and no place meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// From the attempt's start; then [`NodeType::wake`] is called with [`Wake::Due`].
    pub due: Option<Duration>,
    /// Whether it waits as `suspended`, for somebody's signal, or as `running`.
    pub suspended: bool,
}

/// What ends a wait.
#[derive(Clone, Debug)]
pub enum Wake {
    Signal { payload: Value, at: Timestamp },
    Due,
}

/// What a type's attempts are like for the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Takes no time and does nothing outside: start and end are reported together, and it takes up
    /// none of the places of nodes that work at the same time.
    Structural,
    /// Takes a place. Let go of by dropping it, also when its time is up.
    Task,
    /// Takes a place, and heeds [`NodeContext::stop`] and its own time limit itself.
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

    /// Whether a signal is one that [`NodeType::wake`] can do something with.
    ///
    /// # Errors
    ///
    /// Why not, for whoever sent it.
    fn check_signal(&self, payload: &Value) -> Result<(), String> {
        let _ = payload;
        Ok(())
    }

    /// Ends a wait, or returns [`End::Waits`] to go on with it.
    fn wake<'a>(&'a self, context: &'a NodeContext, wake: Wake) -> BoxFuture<'a, AttemptResult> {
        let _ = (context, wake);
        Box::pin(async { AttemptResult::completed(Value::Null) })
    }

    /// Whether attempts decide which of the next nodes follow.
    fn decides(&self) -> bool {
        false
    }

    /// Whether attempts ask a model.
    fn needs_model(&self) -> bool {
        false
    }
}
