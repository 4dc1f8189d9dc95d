//! Graphs that grow while they run, several context values at once, and answers to single interrupts.

use relive_session::{
    Created, Event, GraphDefinition, GraphError, Keyframe, NodeStatus, Recorded, Refusal, Session, SessionId,
    SessionStatus, check_created,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{Run, time};

fn graph() -> Value {
    json!({"name": "g", "startNodeId": "plan", "nodes": {
        "plan": {"id": "plan", "type": "planner", "name": "Plan", "nextIds": ["end"]},
        "end": {"id": "end", "type": "end", "name": "End"},
    }})
}

fn step(id: &str, next: Value) -> Value {
    json!({"id": id, "type": "step", "name": id, "nextIds": next})
}

fn started() -> Run {
    let mut run = Run::new(Some(graph()));
    run.must(json!({"type": "start"}));
    run
}

fn next_of(session: &Session, id: &str) -> Vec<String> {
    let graph = session.origin.graph.as_ref().unwrap();
    graph.nodes[id].next_ids.iter().map(ToString::to_string).collect()
}

fn verified(run: &Run) -> Session {
    let mut state = Session::create(&run.history[0]).unwrap();
    for recorded in &run.history[1..] {
        state.apply_verified(recorded).expect("what happened");
    }
    state
}

#[test]
fn a_planner_adds_nodes_and_the_edges_to_them() {
    let mut run = started();
    run.bring("plan", NodeStatus::Running);
    let before = run.session.clone();
    let events = run
        .must(json!({"type": "addNodes", "nodes": {"s": step("s", json!(["t"])), "t": step("t", json!(["end"]))},
        "edges": [{"from": "plan", "to": "s", "label": "first"}, {"from": "plan", "to": "end"}]}));
    assert_eq!(events.len(), 1);
    assert_eq!(next_of(&run.session, "plan"), ["end", "s"]);
    assert_eq!(next_of(&before, "plan"), ["end"], "as it was");
    let labels = &run.session.origin.graph.as_ref().unwrap().nodes["plan"].properties["edgeLabels"];
    assert_eq!(labels, &json!({"s": "first"}));
    assert_eq!((run.status("s"), run.session.graph_revision), (Some(NodeStatus::Pending), Some(run.session.revision)));
    assert_eq!(run.snapshot()["graphRevision"], json!(run.session.revision));
    assert_eq!(run.snapshot()["nodes"]["s"]["type"], "step");
    run.bring("s", NodeStatus::Completed);
    run.must(json!({"type": "setNodeStatus", "nodeId": "t#1", "status": "running"}));
    run.must(json!({"type": "setNodeStatus", "nodeId": "plan", "status": "completed", "nextIds": ["s"]}));
    assert_eq!(verified(&run), run.session);

    // Nothing new.
    let same = json!({"type": "addNodes", "edges": [{"from": "plan", "to": "s", "label": "first"}]});
    assert_eq!(run.must(same), []);
    assert_eq!(run.must(json!({"type": "addNodes"})), []);
    assert_eq!(run.must(json!({"type": "addNodes", "edges": [{"from": "plan", "to": "s", "label": "1."}]})).len(), 1);

    // Also from a keyframe, and in a fork.
    let first = Session::create(&run.history[0]).unwrap();
    let keyframe = Keyframe::from_json(&Keyframe::of(&run.session).to_json().unwrap()).unwrap();
    assert_eq!(keyframe.restore_stored(&first, run.session.revision), run.session);
    let created = Created::fork_of(&run.session);
    assert_eq!(check_created(&created), Ok(()));
    let event = Event::Created(Box::new(created));
    let fork = Recorded { session_id: SessionId(Uuid::from_u128(8)), revision: 1, at: time(99), by: None, event };
    let mut fork = Session::create(&fork).unwrap();
    assert_eq!((fork.nodes.len(), fork.graph_revision), (run.session.nodes.len(), None));
    let more = json!({"type": "nodesAdded", "nodes": {"u": step("u", json!([]))}});
    let event = serde_json::from_value(more).unwrap();
    fork.apply(&Recorded { session_id: fork.id, revision: 2, at: time(100), by: None, event }).unwrap();
    assert_eq!(next_of(&fork, "u"), [""; 0]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut run = started();
    run.must(json!({"type": "setNodeStatus", "nodeId": "plan#1", "status": "running"}));
    let many: serde_json::Map<String, Value> =
        (0..10_000).map(|n| (format!("n{n}"), step(&format!("n{n}"), json!([])))).collect();
    let node = |id: &str, node: Value| json!({"nodes": {id: node}});
    let unknown = GraphError::MissingNext { node: "plan".into(), next: "z".into() };
    for (mut fields, is_expected) in [
        (
            node("plan", step("plan", json!([]))),
            (|refusal| matches!(refusal, Refusal::Graph(_))) as fn(&Refusal) -> bool,
        ),
        (node("plan#2", step("plan#2", json!([]))), |refusal| matches!(refusal, Refusal::Graph(_))),
        (node("a", step("b", json!([]))), |refusal| matches!(refusal, Refusal::Graph(_))),
        (node("a", step("a", json!(["z"]))), |refusal| matches!(refusal, Refusal::Graph(_))),
        (node("", step("", json!([]))), |refusal| matches!(refusal, Refusal::Graph(_))),
        (json!({"edges": [{"from": "z", "to": "plan"}]}), |refusal| matches!(refusal, Refusal::Graph(_))),
        (json!({"nodes": many}), |refusal| matches!(refusal, Refusal::TooLarge { .. })),
    ] {
        fields["type"] = json!("addNodes");
        let refusal = run.try_json(fields).expect_err("refused");
        assert!(is_expected(&refusal), "{refusal:?}");
    }
    let edge = json!({"type": "addNodes", "edges": [{"from": "plan", "to": "z"}]});
    assert_eq!(run.try_json(edge), Err(Refusal::Graph(unknown.to_string())));
    let any = json!({"type": "addNodes", "nodes": {"a": step("a", json!([]))}});
    assert!(matches!(Run::new(None).try_json(any.clone()), Err(Refusal::Graph(_))));
    assert_eq!(Run::new(Some(graph())).must(any.clone()).len(), 1, "before the start");
    run.must(json!({"type": "cancel"}));
    assert!(matches!(run.try_json(any.clone()), Err(Refusal::SessionTransition { .. })));

    // A history cannot contain it either.
    let mut state = started().session;
    let event: Event =
        serde_json::from_value(json!({"type": "nodesAdded", "nodes": {"a": step("a", json!(["z"]))}})).unwrap();
    let recorded = Recorded { session_id: state.id, revision: 3, at: time(9), by: None, event };
    let before = state.clone();
    assert!(state.apply(&recorded).is_err() && state == before);
    assert!(serde_json::from_value::<GraphDefinition>(graph()).is_ok());
}

#[test]
fn several_values_are_set_at_once_and_held_ones_change_nothing() {
    let mut run = Run::at(SessionStatus::Running);
    let set = |values: Value| json!({"type": "setContext", "values": values});
    assert_eq!(run.must(set(json!({"a": 1, "b": {"c": null}, "d": null}))).len(), 2);
    assert_eq!(run.snapshot()["contextData"], json!({"a": 1, "b": {"c": null}}));
    let revision = run.session.revision;
    for nothing_new in [
        set(json!({"a": 1})),
        set(json!({"b": {"c": null}, "x": null})),
        set(json!({})),
        json!({"type": "setContext", "key": "a", "value": 1}),
        json!({"type": "setContext", "key": "x", "value": null}),
    ] {
        assert_eq!(run.must(nothing_new), []);
    }
    assert_eq!(run.session.revision, revision);
    assert_eq!(
        run.must(set(json!({"a": 1, "b": 2}))),
        [Event::ContextSet { key: "b".to_owned(), value: json!(2).into() }]
    );
    assert_eq!(run.must(json!({"type": "setContext", "key": "a", "value": null})).len(), 1);
    assert_eq!(run.snapshot()["contextData"], json!({"b": 2}));
    for wrong in [
        json!({"type": "setContext"}),
        json!({"type": "setContext", "key": "a"}),
        json!({"type": "setContext", "value": 1}),
        json!({"type": "setContext", "key": "a", "value": 1, "values": {}}),
        set(json!({"": 1})),
        set(json!({"a": "\u{0}"})),
    ] {
        assert!(matches!(run.try_json(wrong.clone()), Err(Refusal::Invalid { .. })), "{wrong}");
    }
    let large = |bytes: usize| json!({"a": "x".repeat(bytes), "b": "y"});
    assert!(matches!(run.try_json(set(large(1024 * 1024))), Err(Refusal::TooLarge { .. })), "all of it or nothing");
    assert_eq!(run.must(set(large(1_000_000))).len(), 2);
    let many: serde_json::Map<String, Value> = (0..1_001).map(|n| (n.to_string(), json!(n))).collect();
    assert!(matches!(run.try_json(set(Value::Object(many))), Err(Refusal::TooLarge { .. })));
    assert_eq!(verified(&run), run.session);
}

#[test]
fn an_earlier_history_may_say_a_value_twice() {
    let mut run = Run::at(SessionStatus::Running);
    run.must(json!({"type": "setContext", "key": "a", "value": 1}));
    let again = Recorded { revision: run.session.revision + 1, ..run.history.last().unwrap().clone() };
    run.session.apply_verified(&again).expect("as earlier versions recorded it");
}

#[test]
fn interrupts_of_one_node_are_answered_one_by_one() {
    let mut run = Run::at(SessionStatus::Running);
    run.bring("n", NodeStatus::Suspended);
    let answer = |id: &str| json!({"type": "signal", "nodeId": "n", "payload": id, "interruptId": id});
    let whole = json!({"type": "signal", "nodeId": "n", "payload": 1});
    assert_eq!(run.must(answer("a")).len(), 1);
    assert_eq!(run.must(answer("b")).len(), 1);
    assert!(matches!(run.try_json(answer("a")), Err(Refusal::SignalPending { .. })));
    assert_eq!(run.must(whole.clone()).len(), 1);
    assert!(matches!(run.try_json(whole.clone()), Err(Refusal::SignalPending { .. })));
    let first = Session::create(&run.history[0]).unwrap();
    assert_eq!(Keyframe::of(&run.session).restore_stored(&first, run.session.revision), run.session);
    assert_eq!(verified(&run), run.session);
    let created = Created::fork_of(&run.session);
    assert_eq!(check_created(&created), Ok(()));
    assert!(matches!(
        run.try_json(json!({"type": "signal", "nodeId": "n", "payload": 1, "interruptId": ""})),
        Err(Refusal::Invalid { .. })
    ));
    for n in 2..64 {
        run.must(answer(&n.to_string()));
    }
    assert!(matches!(run.try_json(answer("64")), Err(Refusal::TooLarge { .. })));
    assert!(matches!(run.try_json(answer("more")), Err(Refusal::TooLarge { .. })));
    // It goes on, and waits again.
    for status in ["running", "suspended"] {
        run.set("n", status).unwrap();
    }
    assert!(run.session.answers.is_empty());
    assert_eq!(run.must(answer("a")).len(), 1);
    run.must(json!({"type": "cancel"}));
    assert!(run.session.answers.is_empty());
    assert!(matches!(run.try_json(answer("a")), Err(Refusal::SessionTransition { .. })));
}

#[test]
fn a_signal_without_an_id_does_not_count_with_the_answers() {
    let mut run = Run::at(SessionStatus::Running);
    run.bring("n", NodeStatus::Suspended);
    for n in 0..64 {
        run.must(json!({"type": "signal", "nodeId": "n", "payload": n, "interruptId": n.to_string()}));
    }
    run.must(json!({"type": "signal", "nodeId": "n", "payload": 1}));
    assert_eq!(verified(&run), run.session);
    assert_eq!(check_created(&Created::fork_of(&run.session)), Ok(()));
}
