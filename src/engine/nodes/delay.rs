//! `delay`: waits for `seconds`.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{AttemptResult, End, NodeContext, NodeType, Wait, Wake, Work};
use crate::engine::error::PlanError;
use crate::engine::properties::{Properties, seconds};
use relive_session::GraphNode;

/// A pause in the run. It counts from the attempt's start, even across a restart of the server.
#[derive(Debug)]
pub struct Delay {
    time: Duration,
}

impl Delay {
    pub fn read(node: &GraphNode) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let expected = "a number of seconds, at most a year";
        let time = own.read("seconds", expected, |value: &Value| seconds(value.as_f64()?))?;
        Ok(Self { time: time.ok_or_else(|| own.wrong("seconds", expected))? })
    }
}

impl NodeType for Delay {
    fn run<'a>(&'a self, _: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        async { AttemptResult::bare(End::Waits) }.boxed()
    }

    fn work(&self) -> Work {
        Work::Structural
    }

    fn wait(&self) -> Option<Wait> {
        Some(Wait { due: Some(self.time), suspended: false })
    }

    fn wake<'a>(&'a self, _: &'a NodeContext, wake: Wake) -> BoxFuture<'a, AttemptResult> {
        async move {
            match wake {
                Wake::Due => AttemptResult::completed(json!({"seconds": self.time.as_secs_f64()})),
                // A delay ignores signals.
                Wake::Signal { .. } => AttemptResult::bare(End::Waits),
            }
        }
        .boxed()
    }
}
