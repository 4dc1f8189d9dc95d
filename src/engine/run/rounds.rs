//! What loops have decided, as the session's context data tells it: under `loops` how many rounds of
//! each are behind it and whether another one runs, and under `score_history` what they scored.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Run;
use super::sending::{ARRAY, Purpose};
use crate::engine::node_task::set_status;
use crate::engine::schedule::{LoopPast, Outcome, Round};
use crate::session::{Command, NodeId, NodeStatus, Session, Timestamp};

/// The entry of the context data that a run is taken up from.
const LOOPS: &str = "loops";
const SCORES: &str = "score_history";
/// Scores kept; older ones are in the session's history.
const KEPT_SCORES: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Rounds {
    loops: BTreeMap<NodeId, LoopPast>,
    scores: Vec<Value>,
}

impl Rounds {
    pub fn of(session: &Session) -> Self {
        let entry = |key: &str| session.context.get(key).map(|entry| entry.value().as_ref());
        let past = |value: &Value| {
            let rounds = value.get("round")?.as_u64()?.try_into().ok()?;
            Some(LoopPast { rounds, again: value.get("again")?.as_bool()? })
        };
        let loops = entry(LOOPS).and_then(Value::as_object);
        let loops = loops.into_iter().flatten().filter_map(|(id, value)| Some((id.as_str().into(), past(value)?)));
        Self { loops: loops.collect(), scores: entry(SCORES).and_then(Value::as_array).cloned().unwrap_or_default() }
    }

    pub fn past(&self, node: &NodeId) -> Option<LoopPast> {
        self.loops.get(node).copied()
    }

    /// Takes a decision, and says what it changes of the context data.
    fn take(&mut self, node: &NodeId, round: &Round, score: Option<f64>) -> Vec<Command> {
        self.loops.retain(|id, _| !round.reset.contains(id));
        self.loops.insert(node.clone(), LoopPast { rounds: round.rounds, again: round.again });
        let shown = |past: &LoopPast| json!({"round": past.rounds, "again": past.again});
        let loops: serde_json::Map<String, Value> =
            self.loops.iter().map(|(id, past)| (id.to_string(), shown(past))).collect();
        let mut changes = vec![set_context(LOOPS, Value::Object(loops))];
        if let Some(score) = score {
            let at = Timestamp::now();
            self.scores.push(json!({"round": round.rounds, "score": score, "timestamp": at}));
            let excess = self.scores.len().saturating_sub(KEPT_SCORES);
            self.scores.drain(..excess);
            changes.push(set_context(SCORES, Value::Array(self.scores.clone())));
        }
        changes
    }
}

fn set_context(key: &str, value: Value) -> Command {
    Command::SetContext { key: key.to_owned(), value }
}

impl Run {
    /// A loop node knows its score; the schedule knows whether there is another round. Both become
    /// durable with the nodes that wait again, so that what is known is enough to go on from.
    pub(super) fn decide_round(&mut self, node: NodeId, leave: bool, score: Option<f64>) {
        let Some(round) = self.schedule.round(&node, leave) else { return };
        let mut output = json!({"round": round.rounds, "again": round.again});
        if let Some(score) = score {
            output["score"] = json!(score);
        }
        let mut commands = vec![set_status(node.clone(), NodeStatus::Running, None, None, None)];
        commands.extend(self.rounds.take(&node, &round, score));
        commands.push(set_status(node.clone(), NodeStatus::Completed, None, None, Some(output)));
        let session = self.link.session();
        // The loop node itself comes last: while it is known as completed, its body is not all reset.
        let body = round.reset.iter().filter(|id| **id != node);
        let ran = body.filter(|id| session.node_status(id).is_some_and(NodeStatus::is_final));
        let wait_again = ran.chain(round.reset.contains(&node).then_some(&node)).cloned();
        commands.extend(wait_again.map(|id| set_status(id, NodeStatus::Pending, None, None, None)));
        debug_assert!(commands.len() - round.reset.len() < ARRAY, "the decision itself is in the first array");
        self.send(Purpose::Round { node, leave }, commands);
    }

    pub(super) fn round_decided(&mut self, node: &NodeId, leave: bool) {
        self.settle(node, if leave { Outcome::Left } else { Outcome::Completed });
    }
}
