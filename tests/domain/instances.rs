//! Nodes that run several times at once.

use relive_session::{Keyframe, NodeStatus::*, Refusal, Session};
use serde_json::{Value, json};

use super::support::Run;

fn run() -> Run {
    let node =
        |id: &str, next: &[&str]| json!({"id": id, "type": "step", "name": format!("Node {id}"), "nextIds": next});
    let nodes = json!({"split": node("split", &["shard"]), "shard": node("shard", &["c#"]), "c#": node("c#", &[])});
    let mut run = Run::new(Some(json!({"name": "g", "startNodeId": "split", "nodes": nodes})));
    run.must(json!({"type": "start"}));
    run
}

fn shown(run: &Run, node: &str) -> Value {
    run.snapshot()["nodes"][node].clone()
}

#[test]
fn an_instance_needs_no_entry_in_the_graph_but_its_node_does() {
    let mut run = run();
    for known in ["shard#3", "shard#a b", "shard#1#2", "c##1", "c#", "split#\u{1f600}"] {
        run.bring(known, Running);
    }
    let long = format!("shard#{}", "x".repeat(129));
    for unknown in ["other#1", "shard#", "#1", "shard#\n", "Shard#1", &long] {
        let refused = run.set(unknown, "running");
        assert_eq!(refused, Err(Refusal::UnknownNode { node_id: unknown.into() }), "{unknown}");
    }
    let instance = shown(&run, "shard#3");
    assert_eq!((&instance["name"], &instance["type"]), (&json!("Node shard"), &json!("step")));
}

#[test]
fn instances_have_states_of_their_own_and_their_node_shows_the_summary() {
    let mut run = run();
    run.must(json!({"type": "setNodeStatus", "nodeId": "shard#1", "status": "running", "progress": 0.5}));
    run.bring("shard#2", Completed);
    assert_eq!(
        (run.status("shard#1"), run.status("shard#2"), run.status("shard")),
        (Some(Running), Some(Completed), Some(Running))
    );
    assert_eq!(run.snapshot()["activeNodeIds"], json!(["shard", "shard#1"]));
    assert_eq!(shown(&run, "shard")["progress"], json!(0.5), "one of two has ended");
    for (node, tokens) in [("shard#1", 5), ("shard#2", 7), ("shard", 1)] {
        run.must(json!({"type": "recordUsage", "nodeId": node, "inputTokens": tokens, "outputTokens": 1}));
    }
    assert_eq!(shown(&run, "shard")["tokenUsage"], json!({"inputTokens": 13, "outputTokens": 3}));
    assert_eq!(run.session.total_tokens, 16);
    assert!(matches!(run.try_json(json!({"type": "complete"})), Err(Refusal::NodesActive { .. })));
    run.set("shard#1", "suspended").unwrap();
    assert_eq!(run.status("shard"), Some(Suspended));
    run.must(json!({"type": "signal", "nodeId": "shard#1", "payload": 1}));
    assert!(run.try_json(json!({"type": "signal", "nodeId": "shard", "payload": 1})).is_err(), "nobody waits there");
    run.must(json!({"type": "setNodeStatus", "nodeId": "shard#1", "status": "failed", "error": "no"}));
    let node = shown(&run, "shard");
    assert_eq!((&node["status"], &node["error"], &node["attempt"]), (&json!("failed"), &json!("no"), &json!(1)));
    assert!(node["startedAt"].is_string() && node["completedAt"].is_string());
    // Tried again, it is a second attempt of the one.
    run.bring("shard#1", Running);
    assert_eq!((&shown(&run, "shard#1")["attempt"], &shown(&run, "shard#2")["attempt"]), (&json!(2), &json!(1)));
    assert_eq!(run.session.nodes.len(), 5);
}

#[test]
fn what_is_reported_of_the_node_itself_counts_as_one_more() {
    let mut run = run();
    run.bring("shard", Running);
    run.bring("shard#1", Completed);
    assert_eq!(run.status("shard"), Some(Running), "more may come");
    run.set("shard", "completed").unwrap();
    assert_eq!(run.status("shard"), Some(Completed));
    run.bring("shard#2", Running);
    assert_eq!(run.status("shard"), Some(Running));
    run.must(json!({"type": "stop"}));
    assert_eq!(
        (run.status("shard#2"), run.status("shard"), run.status("shard#1")),
        (Some(Failed), Some(Failed), Some(Completed))
    );
    assert_eq!(run.snapshot()["activeNodeIds"], json!([]));
}

#[test]
fn a_stored_state_goes_on_with_its_instances() {
    let mut run = run();
    run.bring("shard#1", Running);
    run.bring("shard#2", Failed);
    let first = Session::create(&run.history[0]).unwrap();
    let json = Keyframe::of(&run.session).to_json().unwrap();
    let mut restored = Keyframe::from_json(&json).unwrap().restore_stored(&first, run.session.revision);
    assert_eq!(restored, run.session);
    run.set("shard#1", "completed").unwrap();
    restored.apply(run.history.last().unwrap()).unwrap();
    assert_eq!((restored == run.session, run.status("shard")), (true, Some(Failed)));
}

#[test]
fn without_a_graph_a_sign_in_an_id_means_nothing() {
    let mut run = Run::new(None);
    run.must(json!({"type": "start"}));
    run.bring("shard#1", Running);
    assert_eq!(run.session.nodes.len(), 1);
}
