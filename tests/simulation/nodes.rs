//! Graphs, and a type of node that fails before it succeeds and says when it was begun without leave.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use relive::engine::{AttemptResult, LocalKinds, NodeContext, NodeType, PlanError, Work};
use relive_session::{Event, GraphDefinition, GraphNode, NodeId, NodeStatus, Session};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::database::{Process, Row};
use crate::world::Shared;

/// The types of nodes of one server.
pub struct Kinds {
    pub world: Shared,
    pub process: Process,
}

impl std::fmt::Debug for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.process.fmt(f)
    }
}

impl relive::engine::Kinds for Kinds {
    fn names(&self) -> Vec<&'static str> {
        vec!["flaky"]
    }

    fn read(&self, node: &GraphNode) -> Option<Result<Arc<dyn NodeType>, PlanError>> {
        if node.kind != "flaky" {
            return LocalKinds::default().read(node);
        }
        let number = |name: &str| node.properties.get(name).and_then(Value::as_u64).unwrap_or_default();
        let (fails, millis) = (number("x-fails"), number("x-millis"));
        Some(Ok(Arc::new(Flaky { world: self.world.clone(), process: self.process, fails, millis })))
    }
}

/// Fails so many times in a row, then succeeds.
struct Flaky {
    world: Shared,
    process: Process,
    fails: u64,
    millis: u64,
}

impl std::fmt::Debug for Flaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flaky({})", self.fails)
    }
}

impl NodeType for Flaky {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        async {
            let (session, node) = (context.session(), context.id().clone());
            let attempt = self.begin(&session, &node);
            tokio::time::sleep(Duration::from_millis(self.millis)).await;
            let world = self.world.lock();
            let failures = world.database.row_of(&session).map_or(0, |row| failures_in_a_row(row, &node));
            if failures < self.fails {
                AttemptResult::failed(format!("fault in attempt {attempt}"))
            } else {
                AttemptResult::completed(json!({"attempt": attempt}))
            }
        }
        .boxed()
    }

    fn work(&self) -> Work {
        Work::Task
    }
}

impl Flaky {
    /// No attempt begins before the session says so, and each once.
    fn begin(&self, session: &Session, node: &NodeId) -> u64 {
        let mut world = self.world.lock();
        let id = session.id;
        let begun = world.clients.begun.entry((id, session.identity(), node.clone())).or_default();
        *begun += 1;
        let begun = *begun;
        let reported = world.database.row_of(session).map_or((u64::MAX, None), |row| row.attempt(node)).0;
        world.note("attempt", &[begun, reported], || format!("{id} {node} on {:?}", self.process));
        if begun > reported {
            world.wrong(format!("attempt {begun} of '{node}' was begun, and {reported} were reported as running"));
        }
        reported
    }
}

/// Failures of a node, other than by being cut off, since it last completed.
pub fn failures_in_a_row(row: &Row, node: &NodeId) -> u64 {
    let mut failures = 0;
    for stored in &row.journal {
        let Event::NodeStatusChanged { node_id, status, error, .. } = &stored.recorded.event else { continue };
        if node_id == node {
            match status {
                NodeStatus::Completed => failures = 0,
                NodeStatus::Failed if error.as_deref().is_some_and(|error| error.starts_with("fault")) => failures += 1,
                _ => {}
            }
        }
    }
    failures
}

/// A graph, and whether a run of it fails.
pub fn graph(chance: &mut Chance) -> (GraphDefinition, bool) {
    let mut builder = Builder { nodes: serde_json::Map::new(), fails: false };
    let segments = chance.between(1, 3);
    // From the end to the beginning: each segment knows what follows it.
    builder.node("end", "end", json!({}), &[]);
    let mut next = "end".to_owned();
    for number in 0..segments {
        next = builder.segment(chance, number, &next);
    }
    builder.node("start", "start", json!({}), &[&next]);
    let graph = json!({"name": "simulated", "startNodeId": "start", "nodes": builder.nodes});
    (serde_json::from_value(graph).expect("a graph"), builder.fails)
}

struct Builder {
    nodes: serde_json::Map<String, Value>,
    fails: bool,
}

impl Builder {
    fn node(&mut self, id: &str, kind: &str, properties: Value, next: &[&str]) {
        let node = json!({"id": id, "type": kind, "name": id, "nextIds": next, "properties": properties});
        self.nodes.insert(id.to_owned(), node);
    }

    fn flaky(&mut self, chance: &mut Chance, id: &str, next: &[&str]) {
        let retries = chance.below(4);
        let too_often = chance.per_mille(60);
        let fails = if too_often { retries + 1 + chance.below(2) } else { chance.below(retries + 1) };
        self.fails |= too_often;
        let backoff = chance.pick(&[0.0, 0.1, 0.5, 2.0, 4.0]);
        let millis = chance.pick(&[0, 5, 50, 300, 1_500, 4_000]);
        let properties = json!({"x-fails": fails, "x-millis": millis, "retries": retries, "backoffSeconds": backoff});
        self.node(id, "flaky", properties, next);
    }

    /// Adds what comes before `next`; returns where it begins.
    fn segment(&mut self, chance: &mut Chance, number: u64, next: &str) -> String {
        let name = |what: &str| format!("{what}{number}");
        match chance.below(10) {
            0..=3 => {
                self.flaky(chance, &name("work"), &[next]);
                name("work")
            }
            4 | 5 => {
                let seconds = chance.pick(&[0.05, 0.4, 2.0, 6.0]);
                self.node(&name("delay"), "delay", json!({"seconds": seconds}), &[next]);
                name("delay")
            }
            6 => {
                self.node(&name("review"), "human_review", json!({}), &[next]);
                name("review")
            }
            7 => {
                let (left, right, both) = (name("left"), name("right"), name("both"));
                self.flaky(chance, &left, &[&both]);
                self.flaky(chance, &right, &[&both]);
                self.node(&both, "sequence", json!({}), &[next]);
                self.node(&name("fan"), "parallel", json!({}), &[&left, &right]);
                name("fan")
            }
            _ => {
                let (body, again) = (name("body"), name("loop"));
                self.flaky(chance, &body, &[&again]);
                let rounds = chance.between(1, 3);
                self.node(&again, "loop", json!({"max_rounds": rounds}), &[&body, next]);
                body
            }
        }
    }
}
