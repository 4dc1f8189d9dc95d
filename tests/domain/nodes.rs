//! Every transition of a node, signals, attempts, and who is known.

use relive_session::{Event, NodeStatus, NodeStatus::*, Refusal, SessionStatus};
use serde_json::{Value, json};

use super::support::Run;

const STATUSES: [NodeStatus; 6] = [Pending, Running, Completed, Failed, Skipped, Suspended];

/// From each status (rows) to each (columns): pending, running, completed, failed, skipped,
/// suspended. `=` is accepted and changes nothing.
const TABLE: [(NodeStatus, [&str; 6]); 6] = [
    (Pending, ["=", "y", "y", "y", "y", "n"]),
    (Running, ["n", "=", "y", "y", "y", "y"]),
    (Completed, ["y", "y", "=", "n", "n", "n"]),
    (Failed, ["y", "y", "n", "=", "n", "n"]),
    (Skipped, ["y", "y", "n", "n", "=", "n"]),
    (Suspended, ["n", "y", "y", "y", "y", "="]),
];

#[test]
fn every_transition() {
    for (from, row) in TABLE {
        for (to, cell) in STATUSES.into_iter().zip(row) {
            let mut run = Run::at(SessionStatus::Running);
            run.bring("n", from);
            let revision = run.session.revision;
            let outcome = run.set("n", to.as_str());
            match cell {
                "y" => assert_eq!((outcome.unwrap().len(), run.status("n")), (1, Some(to)), "{from:?} to {to:?}"),
                "=" => assert_eq!((outcome, run.session.revision), (Ok(vec![]), revision), "{from:?} again"),
                _ => {
                    let expected = Refusal::NodeTransition { node_id: "n".into(), from, to };
                    assert_eq!((outcome, run.status("n")), (Err(expected), Some(from)));
                }
            }
        }
    }
}

#[test]
fn the_same_status_with_another_field_is_a_change() {
    let mut run = Run::at(SessionStatus::Running);
    run.bring("n", Running);
    let progress = json!({"type": "setNodeStatus", "nodeId": "n", "status": "running", "progress": 0.5});
    assert_eq!(run.must(progress.clone()).len(), 1);
    assert_eq!(run.must(progress).len(), 0);
    let output = json!({"type": "setNodeStatus", "nodeId": "n", "status": "running", "output": {"o": [1, null]}});
    assert_eq!(run.must(output.clone()).len(), 1);
    assert_eq!(run.must(output).len(), 0);
    let input = json!({"type": "setNodeStatus", "nodeId": "n", "status": "running", "input": {"o": [1, null]}});
    assert_eq!(run.must(input.clone()).len(), 1);
    assert_eq!(run.must(input).len(), 0);
    let next = json!({"type": "setNodeStatus", "nodeId": "n", "status": "running", "nextIds": ["b"]});
    assert_eq!(run.must(next.clone()).len(), 1);
    assert_eq!(run.must(next).len(), 0);
}

#[test]
fn an_attempt_is_counted_at_each_entry() {
    let mut run = Run::at(SessionStatus::Running);
    let attempt = |run: &Run| run.snapshot()["nodes"]["n"]["attempt"].clone();
    run.bring("n", Pending);
    assert_eq!(attempt(&run), Value::Null);
    for (status, expected) in [
        ("running", 1),
        ("suspended", 1),
        ("running", 1),
        ("failed", 1),
        ("running", 2),
        ("completed", 2),
        ("pending", 3),
        ("running", 3),
        ("skipped", 3),
        ("running", 4),
    ] {
        run.set("n", status).unwrap();
        assert_eq!(attempt(&run), expected, "after {status}");
    }
    // A new attempt begins afresh.
    let node = &run.snapshot()["nodes"]["n"];
    assert_eq!((&node["completedAt"], &node["error"], &node["progress"]), (&Value::Null, &Value::Null, &Value::Null));
}

#[test]
fn a_signal_is_taken_where_a_node_waits() {
    let signal = json!({"type": "signal", "nodeId": "n", "payload": {"go": true}});
    for (status, waits) in STATUSES.into_iter().map(|status| (status, matches!(status, Running | Suspended))) {
        for paused in [false, true] {
            let mut run = Run::at(SessionStatus::Running);
            run.bring("n", status);
            if paused {
                run.must(json!({"type": "pause"}));
            }
            let outcome = run.try_json(signal.clone());
            if waits {
                assert!(matches!(outcome.as_deref(), Ok([Event::Signalled { .. }])), "{status:?}: {outcome:?}");
            } else {
                assert_eq!(outcome, Err(Refusal::NotWaiting { node_id: "n".into() }), "{status:?}");
            }
        }
    }
}

#[test]
fn a_suspended_node_holds_one_signal() {
    let signal = json!({"type": "signal", "nodeId": "n", "payload": 1});
    let mut run = Run::at(SessionStatus::Running);
    run.bring("n", Suspended);
    run.must(signal.clone());
    assert_eq!(run.try_json(signal.clone()), Err(Refusal::SignalPending { node_id: "n".into() }));
    // Once it has gone on, the next wait has room for one again.
    run.set("n", "running").unwrap();
    run.must(signal.clone());
    run.must(signal.clone());
    run.set("n", "suspended").unwrap();
    run.must(signal);
}

#[test]
fn with_a_graph_only_its_nodes_are_known() {
    let graph = json!({"name": "g", "startNodeId": "a", "nodes": {
        "a": {"id": "a", "type": "step", "name": "A", "nextIds": ["b"]}, "b": {"id": "b", "type": "step", "name": "B"},
    }});
    let mut run = Run::new(Some(graph));
    run.must(json!({"type": "start"}));
    run.set("a", "running").unwrap();
    for command in [
        json!({"type": "setNodeStatus", "nodeId": "x", "status": "running"}),
        json!({"type": "recordUsage", "nodeId": "x", "inputTokens": 1, "outputTokens": 1}),
        json!({"type": "signal", "nodeId": "x", "payload": 1}),
        json!({"type": "addMessage", "messageId": "00000000-0000-0000-0000-000000000001", "nodeId": "x", "content": ""}),
    ] {
        assert_eq!(run.try_json(command), Err(Refusal::UnknownNode { node_id: "x".into() }));
    }
    assert_eq!(run.session.nodes.len(), 2);
}
