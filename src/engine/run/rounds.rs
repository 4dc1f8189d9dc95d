//! What loops have decided, as the session's context data tells it: under `loops` how many rounds of
//! each are behind it and whether another one runs, and under `score_history` what they scored.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::Run;
use super::sending::{ARRAY, Purpose};
use crate::engine::node_task::{Decision, set_status};
use crate::engine::schedule::{LoopPast, Outcome, Round};
use relive_session::{Command, Node, NodeId, NodeStatus, Session, Timestamp};

/// The entry of the context data that a run is taken up from.
const LOOPS: &str = "loops";
const SCORES: &str = "score_history";
/// Bytes of a passed-over error that the decision keeps.
const KEPT_ERROR: usize = 1_000;
/// Scores kept; older ones are in the session's history.
const KEPT_SCORES: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Rounds {
    loops: BTreeMap<NodeId, Decided>,
    scores: Vec<Value>,
}

/// What a loop decided last, and in which of the loop node's attempts.
#[derive(Clone, Debug)]
struct Decided {
    past: LoopPast,
    attempt: Option<u32>,
    /// What the decision adds to the scores. No two have the same time, so that it can be told whether it
    /// stands there: a fork can be of a moment in between.
    score: Option<Value>,
    /// Why the loop node failed, if it did and that is passed over.
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

    /// The decision of the attempt that a loop node is at, if it was made and the node not yet completed.
    pub fn open(&self, node: &Node) -> Option<Open> {
        let decided = self.loops.get(&node.snapshot.id)?;
        let is_open = node.snapshot.status == NodeStatus::Running
            && decided.attempt.is_some()
            && decided.attempt == node.snapshot.attempt;
        is_open.then(|| Open(decided.clone()))
    }

    /// Takes a decision, and says what it changes of the context data.
    fn record_round(&mut self, node: &NodeId, round: &Round, attempt: u32, decision: &Decision) -> Vec<Command> {
        self.loops.retain(|id, _| !round.reset.contains(id));
        let past = LoopPast { rounds: round.rounds, again: round.again };
        let scored = |score| json!({"round": round.rounds, "score": score, "timestamp": self.next_time()});
        let score = decision.score.map(scored);
        let error = decision.error.as_deref().map(|error| error[..error.floor_char_boundary(KEPT_ERROR)].to_owned());
        self.loops.insert(node.clone(), Decided { past, attempt: Some(attempt), score: score.clone(), error });
        let loops: serde_json::Map<String, Value> =
            self.loops.iter().map(|(id, decided)| (id.to_string(), decided.shown())).collect();
        let mut changes = vec![set_context(LOOPS, Value::Object(loops))];
        changes.extend(score.and_then(|score| self.add_score(score)));
        changes
    }

    /// Adds a score, unless it stands there.
    pub fn add_score(&mut self, score: Value) -> Option<Command> {
        if self.scores.contains(&score) {
            return None;
        }
        self.scores.push(score);
        let excess = self.scores.len().saturating_sub(KEPT_SCORES);
        self.scores.drain(..excess);
        Some(set_context(SCORES, Value::Array(self.scores.clone())))
    }

    /// Now, or just after the last score if that was not before now.
    fn next_time(&self) -> Timestamp {
        let last = self.scores.last().and_then(|score| score["timestamp"].as_str()?.parse::<Timestamp>().ok());
        let now = Timestamp::now();
        last.map_or(now, |last| now.max(last + Duration::from_millis(1)))
    }
}

/// A decision that was made, of a node that is not known as completed.
#[derive(Clone, Debug)]
pub(super) struct Open(Decided);

impl Open {
    /// The report that is missing.
    pub fn report(&self, node: &NodeId) -> Command {
        ended(node, self.0.past, self.0.score.as_ref().map(|score| &score["score"]), self.0.error.clone())
    }

    /// What is to stand in the scores.
    pub fn into_score(self) -> Option<Value> {
        self.0.score
    }
}

impl Decided {
    fn shown(&self) -> Value {
        let mut entry = shown(self.past);
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

/// A decision, as the context data and the loop node's output have it.
fn shown(past: LoopPast) -> Value {
    json!({"round": past.rounds, "again": past.again})
}

/// How a loop node's attempt ended: with its output, or with the error that is passed over.
fn ended(node: &NodeId, past: LoopPast, score: Option<&Value>, error: Option<String>) -> Command {
    if error.is_some() {
        return set_status(node.clone(), NodeStatus::Failed, None, error, None);
    }
    let mut output = shown(past);
    if let Some(score) = score {
        output["score"] = score.clone();
    }
    set_status(node.clone(), NodeStatus::Completed, None, None, Some(output))
}

fn set_context(key: &str, value: Value) -> Command {
    Command::set_context(key, value)
}

impl Run {
    /// A loop node knows its score; the schedule knows whether there is another round. Both become
    /// durable with the nodes that wait again, so that what is known is enough to go on from.
    pub(super) fn decide_round(&mut self, node: NodeId, decision: Decision) {
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
