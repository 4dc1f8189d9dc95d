//! A session that is driven command by command, with its history kept.

use std::sync::Arc;

use relive_session::{
    Command, Created, Event, GraphDefinition, NodeStatus, Recorded, Refusal, Session, SessionId, SessionStatus,
    Timestamp, decide,
};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Debug)]
pub struct Run {
    pub session: Session,
    pub history: Vec<Recorded>,
}

impl Run {
    pub fn new(graph: Option<Value>) -> Self {
        let graph = graph.map(|graph| Arc::new(serde_json::from_value::<GraphDefinition>(graph).unwrap()));
        let event = Event::Created(Box::new(Created { graph, ..Created::default() }));
        let recorded =
            Recorded { session_id: SessionId(Uuid::from_u128(7)), revision: 1, at: time(1), by: None, event };
        Self { session: Session::create(&recorded).unwrap(), history: vec![recorded] }
    }

    /// A session in `status`, reached the shortest way.
    pub fn at(status: SessionStatus) -> Self {
        let mut run = Self::new(None);
        let way: &[&str] = match status {
            SessionStatus::Pending => &[],
            SessionStatus::Running => &["start"],
            SessionStatus::Paused => &["start", "pause"],
            SessionStatus::Completed => &["start", "complete"],
            SessionStatus::Failed => &["start", "stop"],
            SessionStatus::Cancelled => &["cancel"],
        };
        for step in way {
            run.must(json!({"type": step}));
        }
        assert_eq!(run.session.status, status);
        run
    }

    /// Carries a command out; the events it led to.
    pub fn execute(&mut self, command: &Command) -> Result<Vec<Event>, Refusal> {
        let events = decide(&self.session, command)?;
        for event in &events {
            let revision = self.session.revision + 1;
            let recorded =
                Recorded { session_id: self.session.id, revision, at: time(revision), by: None, event: event.clone() };
            self.session.apply(&recorded).expect("a decided event applies");
            self.history.push(recorded);
        }
        Ok(events)
    }

    pub fn try_json(&mut self, command: Value) -> Result<Vec<Event>, Refusal> {
        self.execute(&serde_json::from_value(command).expect("a command"))
    }

    pub fn must(&mut self, command: Value) -> Vec<Event> {
        let text = command.to_string();
        self.try_json(command).unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
    }

    pub fn set(&mut self, node: &str, status: &str) -> Result<Vec<Event>, Refusal> {
        self.try_json(json!({"type": "setNodeStatus", "nodeId": node, "status": status}))
    }

    /// Brings a node that has not run to `status`.
    pub fn bring(&mut self, node: &str, status: NodeStatus) {
        let way: &[&str] = match status {
            // A node that was named, and no more.
            NodeStatus::Pending => &["pending"],
            NodeStatus::Running => &["running"],
            NodeStatus::Completed => &["running", "completed"],
            NodeStatus::Failed => &["running", "failed"],
            NodeStatus::Skipped => &["skipped"],
            NodeStatus::Suspended => &["running", "suspended"],
        };
        for step in way {
            self.set(node, step).unwrap();
        }
        assert_eq!(self.status(node), Some(status));
    }

    pub fn status(&self, node: &str) -> Option<NodeStatus> {
        self.session.node_status(&node.into())
    }

    /// The session as its viewers see it.
    pub fn snapshot(&self) -> Value {
        serde_json::to_value(self.session.snapshot()).unwrap()
    }
}

pub fn time(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + i64::try_from(millis).unwrap()).unwrap()
}
