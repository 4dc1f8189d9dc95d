//! Graphs: read, checked, planned for both engines, and scheduled to their end. Whatever the graph, the time is
//! bounded.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use relive::embeddings::Embeddings;
use relive::engine::{Kinds, LocalKinds, NodeOutcome, NodeServices, Plan, Schedule, ServerKinds, Web, WebOptions};
use relive::models::Models;
use relive::storage::{Storage, connect_options};
use relive_protocol::{CreateSession, FromClient as _};
use relive_session::{Driver, GraphDefinition, NodeId};
use serde_json::{Value, json};

use super::{MIB, Target, assert_short, kind_of, outcome};
use crate::mutate::json;
use crate::random::Random;

pub const TARGET: Target = Target { name: "graphs", share: 60, memory: 160 * MIB, change, check };

/// Nodes that are settled in one run; loops may go round a million times.
const SETTLED: usize = 3_000;

fn change(one: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let read = |text| serde_json::from_slice::<Value>(text).unwrap_or_default();
    let (mut graph, other) = (read(one), read(other));
    for _ in 0..random.length(6) {
        change_nodes(&mut graph, &other, random);
    }
    if random.one_in(2000) {
        graph = large(random);
    }
    if random.one_in(2) {
        json::change(&mut graph, &other, random);
    }
    json::write(&graph)
}

/// Edges and nodes come and go, so that most graphs can still be read.
fn change_nodes(graph: &mut Value, other: &Value, random: &mut Random) {
    let Some(nodes) = graph.get_mut("nodes").and_then(Value::as_object_mut) else { return };
    let ids: Vec<String> = nodes.keys().cloned().collect();
    let Some(id) = ids.get(random.below(ids.len())) else { return };
    let to = ids[random.below(ids.len())].clone();
    if !nodes[id].is_object() {
        return;
    }
    match random.below(8) {
        0 => {
            nodes.remove(id);
            for node in nodes.values_mut() {
                if let Some(next) = node.get_mut("nextIds").and_then(Value::as_array_mut) {
                    next.retain(|next| next != id.as_str());
                }
            }
        }
        1 => {
            let new = format!("n{}", random.below(30));
            let from = other["nodes"].as_object().and_then(|nodes| nodes.values().nth(random.below(nodes.len())));
            let mut copy = from.filter(|node| node.is_object()).cloned();
            let node = copy.get_or_insert_with(|| json!({"type": "sequence", "name": "N"}));
            node["id"] = json!(new);
            node["nextIds"] = json!([to]);
            nodes.insert(new.clone(), node.clone());
            add_edge(nodes, id, &new);
        }
        2 | 3 => add_edge(nodes, id, &to),
        4 => {
            if let Some(next) = nodes[id].get_mut("nextIds").and_then(Value::as_array_mut)
                && !next.is_empty()
            {
                let at = random.below(next.len());
                next.remove(at);
            }
        }
        5 => {
            nodes[id]["type"] =
                json!(["loop", "sequence", "parallel", "if", "switch", "vote", "delay", "llm", "tool"][random.below(9)])
        }
        6 => {
            let from = other["nodes"].as_object().and_then(|nodes| nodes.values().nth(random.below(nodes.len())));
            if let Some(properties) = from.and_then(|node| node.get("properties")) {
                nodes[id]["properties"] = properties.clone();
            }
        }
        _ => {
            if let Some(properties) = nodes[id].get_mut("properties") {
                json::change(properties, other, random);
            }
        }
    }
}

fn add_edge(nodes: &mut serde_json::Map<String, Value>, from: &str, to: &str) {
    let Some(node) = nodes.get_mut(from).and_then(Value::as_object_mut) else { return };
    let next = node.entry("nextIds").or_insert_with(|| json!([]));
    if let Some(next) = next.as_array_mut() {
        next.push(json!(to));
    }
}

/// A graph near the limits: a chain, a fan, loops in one another, or loops one after the other.
fn large(random: &mut Random) -> Value {
    let count = 1 + random.length(4_000);
    let (kind, id) = (random.below(4), |at: usize| format!("n{at:05}"));
    let node = |at: usize| {
        let ahead = if at + 1 < count { vec![id(at + 1)] } else { Vec::new() };
        let (kind, next) = match kind {
            0 => ("sequence", ahead),
            1 if at == 0 => ("parallel", (1..count).map(id).collect()),
            1 => ("sequence", Vec::new()),
            // The second half goes back into the first, in one another.
            2 if at >= count.div_ceil(2) => ("loop", [vec![id(count - 1 - at)], ahead].concat()),
            3 if at % 3 == 2 => ("loop", [vec![id(at - 1)], ahead].concat()),
            _ => ("sequence", ahead),
        };
        (id(at), json!({"id": id(at), "type": kind, "name": "N", "nextIds": next}))
    };
    let nodes: serde_json::Map<String, Value> = (0..count).map(node).collect();
    json!({"name": "large", "startNodeId": id(0), "nodes": nodes})
}

static KINDS: LazyLock<[Box<dyn Kinds>; 2]> = LazyLock::new(|| {
    let options = connect_options("postgres://nobody@127.0.0.1:1/none").expect("an address");
    let storage = Storage::new(options, 1);
    let means = NodeServices {
        models: Models::default(),
        web: Web::new(WebOptions::default()).expect("a client"),
        storage: storage.clone(),
        embeddings: Embeddings::start(storage, 2, None),
    };
    [Box::new(ServerKinds::new(means)), Box::new(LocalKinds::default())]
});

fn check(input: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(input) else { return 0 };
    let Ok(graph) = serde_json::from_str::<GraphDefinition>(text) else {
        // As the body that it comes in.
        let body = CreateSession::read(&format!("{{\"graph\":{text}}}"));
        return body.map_or_else(|error| outcome(kind_of(&error.to_string())), |_| 1);
    };
    let written = serde_json::to_string(&graph).expect("a graph can be written");
    let again: GraphDefinition =
        serde_json::from_str(&written).unwrap_or_else(|error| panic!("{written} is not read again: {error}"));
    assert_eq!(again, graph);
    if let Err(error) = graph.validate_for(Driver::External) {
        assert_short(&error.to_string());
        assert!(graph.validate_for(Driver::Builtin).is_err(), "one engine takes what no engine may have");
        return outcome(kind_of(&error.to_string()));
    }
    let graph = Arc::new(graph);
    let plans = KINDS.each_ref().map(|kinds| match Plan::new(Arc::clone(&graph), &**kinds) {
        Ok(_) => "fine".to_owned(),
        Err(error) => {
            assert_short(&error.to_string());
            kind_of(&error.to_string())
        }
    });
    if graph.validate_for(Driver::Builtin).is_err() {
        assert!(plans.iter().all(|plan| plan != "fine"), "a graph that is not valid can be run");
        return outcome(plans);
    }
    assert!(can_end(&graph), "a graph for the built-in engine has a node out of reach, or a cycle without a loop");
    if let Ok(schedule) = Schedule::new(&graph) {
        run(&graph, schedule, &mut Random::of(&[outcome(input)]));
    }
    outcome((plans, graph.nodes.len().ilog2()))
}

/// Whether every node can be reached, and only loops lead back: by other means than the server's, for graphs that
/// are not too large for them.
fn can_end(graph: &GraphDefinition) -> bool {
    if graph.nodes.len() > 100 {
        return true;
    }
    let mut reached = BTreeSet::from([&graph.start_node_id]);
    for _ in &graph.nodes {
        let next: Vec<_> = reached.iter().flat_map(|id| &graph.nodes[*id].next_ids).collect();
        reached.extend(next);
    }
    let is_loop = |id: &NodeId| graph.nodes[id].kind == GraphDefinition::LOOP;
    let mut left: BTreeSet<&NodeId> = graph.nodes.keys().filter(|id| !is_loop(id)).collect();
    for _ in &graph.nodes {
        let before = left.clone();
        left.retain(|id| graph.nodes[*id].next_ids.iter().any(|next| before.contains(next)));
    }
    reached.len() == graph.nodes.len() && left.is_empty()
}

/// Every run comes to its end, and every node is started as often as it is settled.
fn run(graph: &GraphDefinition, mut schedule: Schedule, random: &mut Random) {
    let mut running: Vec<NodeId> = schedule.begin().start;
    let mut started: HashMap<NodeId, usize> = HashMap::new();
    let has_loops = graph.nodes.values().any(|node| node.kind == GraphDefinition::LOOP);
    for _ in 0..SETTLED {
        let Some(node) = (!running.is_empty()).then(|| running.swap_remove(random.below(running.len()))) else {
            assert!(schedule.verdict().is_some(), "nothing runs, and the run is not over");
            return;
        };
        let times = started.entry(node.clone()).or_default();
        *times += 1;
        assert!(has_loops || *times == 1, "'{node}' runs twice");
        let step = match random.below(12) {
            0 => schedule.settle(&node, NodeOutcome::Failed),
            1 => schedule.settle(&node, NodeOutcome::Skipped),
            2 => schedule.choose(&node, &graph.nodes[&node].next_ids[..graph.nodes[&node].next_ids.len().min(1)]),
            3 | 4 => schedule.settle(&node, NodeOutcome::Left),
            _ => schedule.settle(&node, NodeOutcome::Completed),
        };
        assert!(step.start.iter().all(|next| !running.contains(next)), "a node is started that runs");
        running.extend(step.start);
    }
}
