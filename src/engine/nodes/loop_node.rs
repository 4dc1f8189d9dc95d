//! `loop`: decides about another round.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::score::score_of;
use super::{AttemptResult, End, NodeContext, NodeType, Work};
use crate::engine::error::PlanError;
use crate::engine::properties::Properties;
use relive_session::GraphNode;

/// The conditions for leaving the loop. The schedule knows the limit of rounds.
#[derive(Debug)]
pub struct LoopNode {
    /// The source of the round's score: a template, or else the inputs.
    score: Option<Value>,
    /// At this score or above, the loop is left.
    exit_on_score: Option<f64>,
}

impl LoopNode {
    pub fn read(node: &GraphNode) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        Ok(Self { score: own.template("score")?, exit_on_score: own.number("exitOnScore")? })
    }

    async fn decide(&self, context: &NodeContext) -> Result<End, String> {
        if context.rounds == Some(0) {
            // The run reached the loop node before its body: there is nothing to score yet.
            return Ok(End::Decided { leave: false, score: None });
        }
        let score = match &self.score {
            Some(template) => {
                let filled = context.fill("score", template).await?;
                let problem = || format!("node '{}': the property score became {filled}, not a number", context.id());
                Some(score_of(&filled).ok_or_else(problem)?)
            }
            None => context.inputs().await?.iter().rev().find_map(|(_, output)| score_of(output)),
        };
        let leave = self.exit_on_score.zip(score).is_some_and(|(enough, score)| score >= enough);
        Ok(End::Decided { leave, score })
    }
}

impl NodeType for LoopNode {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        self.decide(context).map(|decided| decided.map_or_else(AttemptResult::failed, AttemptResult::bare)).boxed()
    }

    fn work(&self) -> Work {
        Work::Structural
    }
}
