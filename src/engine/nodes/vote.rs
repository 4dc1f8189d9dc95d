//! `vote`: the majority of the inputs, or their mean score.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::score::{choice_of, score_of};
use super::{AttemptResult, NodeContext, NodeType, Work};
use crate::engine::error::PlanError;
use crate::engine::properties::Properties;
use relive_session::GraphNode;

/// Counts the outputs of the previous nodes.
#[derive(Debug)]
pub struct Vote {
    by: By,
    /// Of `majority`: the share of the votes that the winner needs, from 0 to 1. Of `score`: the
    /// least mean.
    threshold: f64,
    /// Whether the node fails when the threshold is not reached.
    required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Majority,
    Score,
}

impl Vote {
    pub fn read(node: &GraphNode) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let by = own.read("mode", "majority or score", |value| match value.as_str()? {
            "majority" => Some(By::Majority),
            "score" => Some(By::Score),
            _ => None,
        })?;
        let by = by.unwrap_or(By::Majority);
        let threshold = own.number("threshold")?;
        if by == By::Majority && threshold.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err(own.wrong("threshold", "a share from 0 to 1 when the mode is majority"));
        }
        let threshold = threshold.unwrap_or(if by == By::Majority { 0.5 } else { 0.0 });
        Ok(Self { by, threshold, required: own.flag("required")? })
    }

    async fn count(&self, context: &NodeContext) -> Result<Value, String> {
        let inputs = context.inputs().await?;
        let outcome = match self.by {
            By::Majority => self.majority(inputs.iter().filter_map(|(_, output)| choice_of(output)).collect()),
            By::Score => self.mean(inputs.iter().filter_map(|(_, output)| score_of(output)).collect()),
        };
        let outcome = outcome.ok_or("none of the inputs holds a vote")?;
        if self.required && outcome["passed"] != true {
            return Err(format!("the vote did not pass: {outcome}"));
        }
        Ok(outcome)
    }

    fn majority(&self, choices: Vec<String>) -> Option<Value> {
        let all = choices.len();
        let mut votes: BTreeMap<String, usize> = BTreeMap::new();
        for choice in choices {
            *votes.entry(choice.chars().take(200).collect()).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        let leaders: Vec<&String> =
            votes.iter().filter(|(_, count)| **count == most).map(|(choice, _)| choice).collect();
        let share = most as f64 / all as f64;
        // A tie has no winner.
        let tied = leaders.len() > 1;
        let passed = !tied && share >= self.threshold;
        let winner = leaders.first().filter(|_| !tied);
        Some(json!({"mode": "majority", "winner": winner, "share": share, "passed": passed, "tied": tied,
                    "votes": votes, "count": all}))
    }

    fn mean(&self, scores: Vec<f64>) -> Option<Value> {
        if scores.is_empty() {
            return None;
        }
        let score = scores.iter().sum::<f64>() / scores.len() as f64;
        Some(json!({"mode": "score", "score": score, "passed": score >= self.threshold, "scores": scores,
                    "count": scores.len()}))
    }
}

impl NodeType for Vote {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        self.count(context).map(AttemptResult::from).boxed()
    }

    fn work(&self) -> Work {
        Work::Structural
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(by: By, threshold: f64) -> Vote {
        Vote { by, threshold, required: false }
    }

    #[test]
    fn the_majority_wins_if_it_is_large_enough_and_alone() {
        let choices = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let result = |text, threshold| vote(By::Majority, threshold).majority(choices(text)).expect("votes");
        let of = |outcome: Value| (outcome["winner"].clone(), outcome["passed"].clone());
        assert_eq!(of(result("yes yes no", 0.5)), (json!("yes"), json!(true)));
        assert_eq!(of(result("yes yes no", 0.7)), (json!("yes"), json!(false)));
        assert_eq!(of(result("yes no", 0.5)), (Value::Null, json!(false)));
        assert_eq!(vote(By::Majority, 0.5).majority(Vec::new()), None);
    }

    #[test]
    fn scores_are_averaged() {
        let outcome = vote(By::Score, 80.0).mean(vec![70.0, 90.0]).expect("scores");
        assert_eq!((&outcome["score"], &outcome["passed"]), (&json!(80.0), &json!(true)));
        assert_eq!(vote(By::Score, 80.0).mean(Vec::new()), None);
    }
}
