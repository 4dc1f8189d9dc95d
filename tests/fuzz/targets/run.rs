//! A session that is driven by commands, and what must hold of it whatever they are.

use std::sync::Arc;

use relive_session::{
    Command, Created, Driver, Event, GraphDefinition, Keyframe, NodeCounts, Recorded, Refusal, Session, SessionId,
    Timestamp, check_created, decide_at, patch_between,
};
use serde_json::Value;
use uuid::Uuid;

pub struct Run {
    pub session: Session,
    pub history: Vec<Recorded>,
}

impl Run {
    pub fn new(graph: Option<GraphDefinition>, driver: Driver, inputs: Option<Value>) -> Self {
        let (graph, inputs) = (graph.map(Arc::new), inputs.map(Arc::new));
        Self::begin(SessionId(Uuid::from_u128(7)), Created { graph, driver, inputs, ..Created::default() }, time(1))
    }

    /// A fork of where the run stands.
    pub fn fork(&self) -> Self {
        let created = Created::fork_of(&self.session);
        check_created(&created).expect("a fork can be imported");
        Self::begin(SessionId(Uuid::from_u128(8)), created, self.session.updated_at)
    }

    fn begin(session_id: SessionId, created: Created, at: Timestamp) -> Self {
        let recorded = Recorded { session_id, revision: 1, at, by: None, event: Event::Created(Box::new(created)) };
        Self { session: Session::create(&recorded).expect("a session"), history: vec![recorded] }
    }

    pub fn execute(&mut self, command: &Command, at: Timestamp) -> Result<usize, Refusal> {
        let events = decide_at(&self.session, command, at)?;
        for event in &events {
            let (session_id, revision) = (self.session.id, self.session.revision + 1);
            let recorded = Recorded { session_id, revision, at, by: None, event: event.clone() };
            let mut verified = self.session.clone();
            self.session.apply(&recorded).expect("a decided event applies");
            verified.apply_verified(&stored(&recorded)).expect("a decided event is one that a command leads to");
            assert_eq!(verified, self.session, "verified, the event does something else");
            self.history.push(recorded);
        }
        Ok(events.len())
    }

    /// What must hold of a state and its history.
    pub fn check(&self) {
        let first = Session::create(&stored(&self.history[0])).expect("a stored beginning");
        let mut folded = first.clone();
        let middle = self.history.len() / 2;
        for (at, recorded) in self.history.iter().enumerate().skip(1) {
            if at == middle {
                // From a keyframe on as from the beginning.
                folded = again(&folded, &first);
            }
            folded.apply(&stored(recorded)).expect("a stored event applies");
        }
        assert_eq!(folded, self.session, "the fold of the stored events is another state");
        assert_eq!(again(&self.session, &first), self.session, "a keyframe leads to another state");
        check_counts(&self.session);
        let shown = serde_json::to_value(self.session.snapshot()).expect("a snapshot can be written");
        let base = &first.snapshot();
        if let Ok(patch) = patch_between(&first, &self.session) {
            let mut patched = serde_json::to_value(base).expect("a snapshot can be written");
            merge(&mut patched, &Value::Object(patch));
            assert_eq!(patched, shown, "the patch leads to another state");
        }
    }
}

pub fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis).expect("a time")
}

fn again(state: &Session, first: &Session) -> Session {
    let json = Keyframe::of(state).to_json().expect("a keyframe can be written");
    assert_storable(&json);
    Keyframe::from_json(&json).expect("a keyframe is read again").restore_stored(first, state.revision)
}

/// The event as it comes back from the journal.
pub fn stored(recorded: &Recorded) -> Recorded {
    let text = serde_json::to_string(&recorded.event).expect("an event can be written");
    assert_storable(&text);
    let event = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text} is not read again: {error}"));
    Recorded { event, ..recorded.clone() }
}

/// PostgreSQL takes no NUL, in `text` and in `jsonb`.
pub fn assert_storable(json: &str) {
    let mut rest = json;
    while let Some(at) = rest.find("\\u0000") {
        let slashes = rest[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        assert!(slashes % 2 == 1, "NUL is stored: {}", json.chars().take(300).collect::<String>());
        rest = &rest[at + 1..];
    }
}

/// What is kept beside the state equals a recount.
pub fn check_counts(state: &Session) {
    assert_eq!(state.node_counts, NodeCounts::of(state.nodes.values().map(|node| node.snapshot.status)));
    let active = state.nodes.iter().filter(|(_, node)| node.snapshot.status.is_active()).map(|(id, _)| id);
    assert!(state.active.iter().eq(active), "the active nodes");
    let bytes = |(key, entry): (&String, _)| key.len() + serde_json::to_string(entry).unwrap().len();
    assert_eq!(state.context_bytes, state.context.iter().map(bytes).sum::<usize>());
    if state.status.is_ended() {
        assert!(state.active.is_empty() && state.signals.is_empty(), "something goes on after the end");
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    for (key, value) in patch {
        let members = target.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
