//! The decisions of loops, kept in the session's context data: `loops` has the number of completed rounds of
//! each loop and whether another one runs, and `score_history` the scores of the rounds.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Run;
use super::sending::{ARRAY, Purpose};
use crate::engine::node_task::{RoundDecision, set_status};
use crate::engine::schedule::{LoopPast, NodeOutcome, Round};
use relive_session::{Command, Node, NodeId, NodeStatus, Session, Timestamp};

/// The entry of the context data from which a run is resumed.
const LOOPS: &str = "loops";
const SCORES: &str = "score_history";
/// Bytes of an ignored error that the decision keeps.
const KEPT_ERROR: usize = 1_000;
/// Scores kept; older ones are only in the session's events.
const KEPT_SCORES: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Rounds {
    loops: BTreeMap<NodeId, Decided>,
    scores: Vec<Value>,
}

/// A loop's last decision, and the loop node's attempt that made it.
#[derive(Clone, Debug)]
struct Decided {
    past: LoopPast,
    attempt: Option<u32>,
    /// The entry that the decision adds to the scores. Its time is unique, which shows whether it has been
    /// added: a fork may begin between the two events.
    score: Option<Value>,
    /// The error of a loop node that failed, if its policy ignores that.
    error: Option<String>,
}

impl Rounds {
    pub fn of(session: &Session) -> Self {
        let entry = |key: &str| session.context.get(key).map(|entry| entry.value().as_ref());
        let past = |value: &Value| {
            let rounds = value.get("round")?.as_u64()?.try_into().ok()?;
            let attempt = value.get("attempt").and_then(Value::as_u64).and_then(|attempt| attempt.try_into().ok());
            let score = value.get("scored").cloned();
            let error = value.get("error").and_then(Value::as_str).map(str::to_owned);
            Some(Decided { past: LoopPast { rounds, again: value.get("again")?.as_bool()? }, attempt, score, error })
        };
        let loops = entry(LOOPS).and_then(Value::as_object);
        let loops = loops.into_iter().flatten().filter_map(|(id, value)| Some((id.as_str().into(), past(value)?)));
        Self { loops: loops.collect(), scores: entry(SCORES).and_then(Value::as_array).cloned().unwrap_or_default() }
    }

    pub fn past(&self, node: &NodeId) -> Option<LoopPast> {
        self.loops.get(node).map(|decided| decided.past)
    }

    /// The decision of a loop node's current attempt, if it was made and the node is not completed yet.
    pub fn open(&self, node: &Node) -> Option<OpenDecision> {
        let decided = self.loops.get(&node.snapshot.id)?;
        let is_open = node.snapshot.status == NodeStatus::Running
            && decided.attempt.is_some()
            && decided.attempt == node.snapshot.attempt;
        is_open.then(|| OpenDecision(decided.clone()))
    }

    /// Records a decision; returns the changes of the context data.
    fn record_round(&mut self, node: &NodeId, round: &Round, attempt: u32, decision: &RoundDecision) -> Vec<Command> {
        self.loops.retain(|id, _| !round.reset.contains(id));
        let past = LoopPast { rounds: round.rounds, again: round.again };
        let scored = |score| json!({"round": round.rounds, "score": score, "timestamp": self.next_time()});
        let score = decision.score.map(scored);
        let error = decision.error.as_deref().map(|error| error[..error.floor_char_boundary(KEPT_ERROR)].to_owned());
        self.loops.insert(node.clone(), Decided { past, attempt: Some(attempt), score: score.clone(), error });
        let loops: serde_json::Map<String, Value> =
            self.loops.iter().map(|(id, decided)| (id.to_string(), decided.to_json())).collect();
        let mut changes = vec![set_context(LOOPS, Value::Object(loops))];
        changes.extend(score.and_then(|score| self.add_score(score)));
        changes
    }

    /// Adds a score, unless it has been added already.
    pub fn add_score(&mut self, score: Value) -> Option<Command> {
        if self.scores.contains(&score) {
            return None;
        }
        self.scores.push(score);
        let excess = self.scores.len().saturating_sub(KEPT_SCORES);
        self.scores.drain(..excess);
        Some(set_context(SCORES, Value::Array(self.scores.clone())))
    }

    /// The current time, or just after the last score's if that is not earlier.
    fn next_time(&self) -> Timestamp {
        let last = self.scores.last().and_then(|score| score["timestamp"].as_str()?.parse::<Timestamp>().ok());
        let now = Timestamp::now();
        last.map_or(now, |last| now.max(last + Duration::from_millis(1)))
    }
}

/// A decision of a loop node that is not stored as completed.
#[derive(Clone, Debug)]
pub(super) struct OpenDecision(Decided);

impl OpenDecision {
    /// The missing report of the loop node's end.
    pub fn report(&self, node: &NodeId) -> Command {
        ended(node, self.0.past, self.0.score.as_ref().map(|score| &score["score"]), self.0.error.clone())
    }

    /// The entry for the scores.
    pub fn into_score(self) -> Option<Value> {
        self.0.score
    }
}

impl Decided {
    fn to_json(&self) -> Value {
        let mut entry = decision_json(self.past);
        if let Some(attempt) = self.attempt {
            entry["attempt"] = json!(attempt);
        }
        if let Some(score) = &self.score {
            entry["scored"] = score.clone();
        }
        if let Some(error) = &self.error {
            entry["error"] = json!(error);
        }
        entry
    }
}

/// A decision as JSON, for the context data and the loop node's output.
fn decision_json(past: LoopPast) -> Value {
    json!({"round": past.rounds, "again": past.again})
}

/// The report of the end of a loop node's attempt: its output, or the error that is ignored.
fn ended(node: &NodeId, past: LoopPast, score: Option<&Value>, error: Option<String>) -> Command {
    if error.is_some() {
        return set_status(node.clone(), NodeStatus::Failed, None, error, None);
    }
    let mut output = decision_json(past);
    if let Some(score) = score {
        output["score"] = score.clone();
    }
    set_status(node.clone(), NodeStatus::Completed, None, None, Some(output))
}

fn set_context(key: &str, value: Value) -> Command {
    Command::SetContext { key: key.to_owned(), value }
}

impl Run {
    /// Records a round's score, which the loop node knows, and whether there is another round, which the schedule
    /// knows. Both are committed together with the reset of the nodes, so that the run can be resumed from there.
    pub(super) fn decide_round(&mut self, node: NodeId, decision: RoundDecision) {
        let leave = decision.leave;
        let Some(round) = self.schedule.round(&node, leave) else { return };
        let past = LoopPast { rounds: round.rounds, again: round.again };
        if decision.error.is_some() {
            metrics::counter!("relive_engine_nodes_failed_total").increment(1);
        }
        let mut commands = vec![set_status(node.clone(), NodeStatus::Running, None, None, None)];
        let attempt = self.link.session().nodes.get(&node).and_then(|held| held.snapshot.attempt).unwrap_or(1);
        commands.extend(self.rounds.record_round(&node, &round, attempt, &decision));
        commands.push(ended(&node, past, decision.score.map(Value::from).as_ref(), decision.error));
        let session = self.link.session();
        // The loop node is reset last: as long as it is stored as completed, the reset of its body is incomplete.
        let body = round.reset.iter().filter(|id| **id != node);
        let ran = body.filter(|id| session.node_status(id).is_some_and(NodeStatus::is_final));
        let wait_again = ran.chain(round.reset.contains(&node).then_some(&node)).cloned();
        commands.extend(wait_again.map(|id| set_status(id, NodeStatus::Pending, None, None, None)));
        debug_assert!(commands.len() - round.reset.len() < ARRAY, "the decision itself is in the first array");
        self.send(Purpose::Round { node, leave }, commands);
    }

    pub(super) fn round_decided(&mut self, node: &NodeId, leave: bool) {
        self.settle(node, if leave { NodeOutcome::Left } else { NodeOutcome::Completed });
    }
}
