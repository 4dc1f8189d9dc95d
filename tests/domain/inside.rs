//! What is inside of a node: nodes below it, attributes, times by the client's clock, logs.

use std::collections::BTreeMap;

use proptest::prelude::*;
use relive_session::{
    Event, Keyframe, NodeId, NodeStatus::*, Refusal, Session, SessionStatus, TimelineBuilder, Timestamp, limits,
    patch_between,
};
use serde_json::{Value, json};

use super::support::{Run, time};

fn run() -> Run {
    Run::at(SessionStatus::Running)
}

fn in_graph() -> Run {
    let node = |id: &str, next: &[&str]| json!({"id": id, "type": "step", "name": id, "nextIds": next});
    let nodes = json!({"a": node("a", &["b"]), "b": node("b", &[])});
    let mut run = Run::new(Some(json!({"name": "g", "startNodeId": "a", "nodes": nodes})));
    run.must(json!({"type": "start"}));
    run
}

fn node(id: &str, more: Value) -> Value {
    let mut command = json!({"type": "setNodeStatus", "nodeId": id, "status": "running"});
    let Value::Object(more) = more else { panic!("members") };
    command.as_object_mut().unwrap().extend(more);
    command
}

fn nest(run: &mut Run, id: &str, parent: &str) -> Result<Vec<Event>, Refusal> {
    run.try_json(node(id, json!({"parentNodeId": parent})))
}

fn shown(run: &Run, id: &str) -> Value {
    run.snapshot()["nodes"][id].clone()
}

fn field(refused: Result<Vec<Event>, Refusal>) -> &'static str {
    match refused {
        Err(Refusal::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nodes_nest_and_a_parent_appears_when_it_is_first_named() {
    let mut run = run();
    run.must(node("leaf", json!({"parentNodeId": "root", "kind": "tool"})));
    assert_eq!(run.status("root"), Some(Pending));
    assert_eq!((&shown(&run, "leaf")["parentNodeId"], &shown(&run, "leaf")["kind"]), (&json!("root"), &json!("tool")));
    assert_eq!(run.must(node("leaf", json!({"parentNodeId": "root", "kind": "tool"}))), [], "nothing new");
    assert!(matches!(run.try_json(json!({"type": "complete"})), Err(Refusal::NodesActive { .. })));
    run.set("leaf", "completed").unwrap();
    run.must(json!({"type": "complete"}));
    assert_eq!((run.status("leaf"), run.status("root")), (Some(Completed), Some(Skipped)));
}

#[test]
fn no_node_is_above_itself() {
    let mut run = run();
    for (id, parent) in [("b", "a"), ("c", "b"), ("d", "c")] {
        nest(&mut run, id, parent).unwrap();
    }
    for (id, parent) in [("a", "a"), ("a", "b"), ("a", "d"), ("b", "d"), ("new", "new")] {
        assert_eq!(field(nest(&mut run, id, parent)), "parentNodeId", "{id} under {parent}");
    }
    assert_eq!(run.session.nodes.len(), 4, "a refused node appeared");
    // Elsewhere it may go, with what is below it.
    nest(&mut run, "c", "other").unwrap();
    nest(&mut run, "a", "d").unwrap();
    assert_eq!(field(nest(&mut run, "other", "b")), "parentNodeId");
}

#[test]
fn nodes_are_at_most_64_deep_from_whichever_end_they_come() {
    let (mut down, mut up) = (run(), run());
    let name = |level: usize| format!("n{level}");
    for level in 1..=limits::NODE_DEPTH {
        nest(&mut down, &name(level), &name(level - 1)).unwrap();
        let level = limits::NODE_DEPTH - level;
        nest(&mut up, &name(level + 1), &name(level)).unwrap();
    }
    for run in [&mut down, &mut up] {
        assert_eq!(run.session.nodes.len(), 65);
        assert_eq!(field(nest(run, "below", "n64")), "parentNodeId");
        assert_eq!(field(nest(run, "n0", "above")), "parentNodeId");
        nest(run, "beside", "n63").unwrap();
        // What is taken away leaves room.
        nest(run, "n64", "n0").unwrap();
        assert_eq!(field(nest(run, "n0", "above")), "parentNodeId", "`beside` is as deep");
        nest(run, "beside", "n0").unwrap();
        nest(run, "n0", "above").unwrap();
    }
}

#[test]
fn with_a_graph_others_appear_only_below_its_nodes() {
    let mut run = in_graph();
    let unknown = |id: &str| Err(Refusal::UnknownNode { node_id: id.into() });
    assert_eq!(run.set("step", "running"), unknown("step"));
    assert_eq!(nest(&mut run, "step", "elsewhere"), unknown("elsewhere"));
    assert_eq!(run.try_json(json!({"type": "addLog", "nodeId": "step", "level": "info", "text": ""})), unknown("step"));
    nest(&mut run, "step", "a").unwrap();
    nest(&mut run, "call", "step").unwrap();
    nest(&mut run, "shard", "b#1").unwrap();
    run.must(json!({"type": "recordUsage", "nodeId": "call", "inputTokens": 1, "outputTokens": 1}));
    run.set("step", "completed").unwrap();
    assert_eq!(run.session.nodes.len(), 6);
    // An instance is below its node.
    for (id, parent) in [("b", "b#1"), ("b", "b#2"), ("b", "shard"), ("a", "call")] {
        assert_eq!(field(nest(&mut run, id, parent)), "parentNodeId", "{id} under {parent}");
    }
    nest(&mut run, "b", "call").unwrap();
}

#[test]
fn the_number_of_nodes_counts_a_parent_that_appears() {
    let mut run = run();
    for number in 0..limits::SESSION_NODES - 1 {
        let more = if number == 0 { json!({}) } else { json!({"parentNodeId": "n0"}) };
        run.must(node(&format!("n{number}"), more));
    }
    assert!(matches!(nest(&mut run, "one", "two"), Err(Refusal::TooLarge { .. })));
    nest(&mut run, "one", "n0").unwrap();
    assert!(matches!(nest(&mut run, "n1", "two"), Err(Refusal::TooLarge { .. })));
}

#[test]
fn a_change_below_ten_thousand_nodes_is_a_small_patch() {
    let mut run = run();
    for number in 1..limits::NODES {
        nest(&mut run, &format!("n{number}"), &format!("n{}", number / 10)).unwrap();
    }
    let base = run.session.clone();
    run.must(json!({"type": "setNodeStatus", "nodeId": "n9999", "status": "completed", "attributes": {"rows": 3}}));
    let patch = serde_json::to_value(patch_between(&base, &run.session).unwrap()).unwrap();
    assert_eq!(patch["nodes"].as_object().unwrap().keys().collect::<Vec<_>>(), ["n9999"]);
    assert_eq!(patch["nodes"]["n9999"]["attributes"], json!({"rows": 3}));
    run.must(json!({"type": "addLog", "nodeId": "n9999", "level": "info", "text": "x".repeat(60_000)}));
    let patch = patch_between(&base, &run.session).unwrap();
    assert!(patch["nodes"].to_string().len() < 200, "{patch:?}");
}

#[test]
fn attributes_are_flat_and_at_most_8_kib_with_those_held() {
    let mut run = run();
    run.must(node("a", json!({"attributes": {"model": "m", "n": 1, "sure": true}})));
    run.must(node("a", json!({"attributes": {"n": 2.5, "model": null}})));
    assert_eq!(shown(&run, "a")["attributes"], json!({"n": 2.5, "sure": true}));
    assert_eq!(run.must(node("a", json!({"attributes": {"n": 2.5, "gone": null}}))), [], "nothing new");
    for wrong in [json!({"a": {}}), json!({"a": []}), json!({"": 1}), json!({"": null}), json!({"a": "\0"})] {
        assert_eq!(field(run.try_json(node("a", json!({"attributes": wrong})))), "attributes", "{wrong}");
    }
    run.must(node("a", json!({"attributes": {"long": "x".repeat(8_000)}})));
    let more = run.try_json(node("a", json!({"attributes": {"more": "x".repeat(200)}})));
    assert!(matches!(more, Err(Refusal::TooLarge { what: "attributes", .. })), "{more:?}");
    run.must(node("a", json!({"attributes": {"more": "x".repeat(200), "long": null}})));
    run.must(node("a", json!({"attributes": {"more": null, "n": null, "sure": null}})));
    assert_eq!(shown(&run, "a").get("attributes"), None);
}

#[test]
fn attributes_count_as_json() {
    let mut run = run();
    let most = 8 * 1024 - r#"{"k":""}"#.len();
    let log = |attributes: &Value| json!({"type": "addLog", "nodeId": "a", "level": "info", "text": "t", "attributes": attributes});
    for (id, fits, attributes) in [
        ("a", true, json!({"k": "x".repeat(most)})),
        ("b", false, json!({"k": "x".repeat(most + 1)})),
        ("c", true, json!({"k": "\n".repeat(most / 2)})),
        ("d", false, json!({"k": "\n".repeat(most / 2 + 1)})),
        ("e", false, json!({"\n".repeat(4_095): 1})),
    ] {
        assert_eq!(run.try_json(node(id, json!({"attributes": attributes}))).is_ok(), fits, "{id}");
        assert_eq!(run.try_json(log(&attributes)).is_ok(), fits, "{id}");
    }
    assert_eq!(run.must(node("a", json!({"attributes": {"k": "x".repeat(most)}}))), [], "nothing new");
    let added = run.try_json(node("a", json!({"attributes": {"l": 1}})));
    assert!(matches!(added, Err(Refusal::TooLarge { what: "attributes", .. })), "{added:?}");
}

#[test]
fn attributes_that_earlier_versions_took_are_still_read() {
    let mut run = run();
    // They did not count the quotes, colons and commas.
    let attributes = json!({"k": "x".repeat(8 * 1024 - 3)});
    let (session_id, at) = (run.session.id, run.session.updated_at);
    let changed = json!({"type": "nodeStatusChanged", "nodeId": "a", "status": "running", "attempt": 1, "attributes": attributes});
    let recorded = |revision, event: Value| relive_session::Recorded {
        session_id,
        revision,
        at,
        by: None,
        event: serde_json::from_value(event).expect("an event"),
    };
    let next = run.session.revision + 1;
    run.session.apply_verified(&recorded(next, changed)).expect("as earlier versions recorded it");
    relive_session::check_created(&relive_session::Created::fork_of(&run.session)).unwrap();
}

#[test]
fn times_are_shown_as_they_were_given() {
    let mut run = run();
    let (early, late) = (time(0), time(90_000_000));
    run.must(node("a", json!({"startedAt": early})));
    run.must(json!({"type": "setNodeStatus", "nodeId": "a", "status": "completed", "completedAt": late}));
    assert_eq!((&shown(&run, "a")["startedAt"], &shown(&run, "a")["completedAt"]), (&json!(early), &json!(late)));
    // Another attempt has times of its own.
    run.must(node("a", json!({})));
    assert_eq!(shown(&run, "a").get("completedAt"), None);
    assert_ne!(shown(&run, "a")["startedAt"], json!(early));
    // Reported afterwards, in one command; with an end alone it began no later.
    run.must(json!({"type": "setNodeStatus", "nodeId": "b", "status": "failed", "completedAt": early}));
    assert_eq!(shown(&run, "b")["startedAt"], json!(early));
    run.must(
        json!({"type": "setNodeStatus", "nodeId": "b", "status": "failed", "startedAt": early, "completedAt": late}),
    );
    assert_eq!(shown(&run, "b")["completedAt"], json!(late));
    // A clock that is ahead of the server's.
    run.must(node("c", json!({"startedAt": late})));
    run.set("c", "completed").unwrap();
    assert_eq!(shown(&run, "c")["completedAt"], json!(late));
    run.must(node("d", json!({"startedAt": late})));
    run.must(json!({"type": "cancel"}));
    assert_eq!(shown(&run, "d")["completedAt"], json!(late));
}

#[test]
fn a_timeline_shows_times_of_clients_and_runs_that_were_reported_when_they_were_over() {
    let mut run = run();
    let (early, middle, late) = (time(100), time(200), time(300));
    let over = |id: &str, start: Timestamp, end: Timestamp| json!({"type": "setNodeStatus", "nodeId": id, "status": "completed", "startedAt": start, "completedAt": end});
    run.must(over("span", early, late));
    run.must(node("step", json!({"startedAt": early})));
    run.set("step", "suspended").unwrap();
    run.set("step", "running").unwrap();
    run.must(json!({"type": "setNodeStatus", "nodeId": "step", "status": "failed", "completedAt": late}));
    run.must(node("late", json!({})));
    run.must(node("late", json!({"startedAt": middle})));
    run.must(over("instant", early, early));
    let timeline = |after: u64| {
        let mut timeline = TimelineBuilder::new(&run.history[0], after).unwrap();
        run.history[1..].iter().for_each(|recorded| timeline.apply(recorded).unwrap());
        timeline.finish(false)
    };
    let whole = timeline(0);
    let intervals = |id: &str| -> Vec<_> {
        let node = whole.nodes.iter().find(|node| node.id == id.into()).unwrap();
        node.intervals.iter().map(|each| (each.status, each.from, each.to)).collect()
    };
    assert_eq!(intervals("span"), [(Running, early, Some(late)), (Completed, late, None)]);
    assert_eq!(intervals("instant"), [(Completed, early, None)]);
    assert_eq!(intervals("late"), [(Running, middle, None)]);
    let step = intervals("step");
    assert_eq!((step[0].0, step[0].1, step[1].0), (Running, early, Suspended));
    assert_eq!((step[2].0, step[2].2, step[3]), (Running, Some(late), (Failed, late, None)));
    assert!(step[2].1 != early, "it went on when that was recorded");
    assert!(whole.nodes.iter().flat_map(|node| &node.intervals).all(|each| each.to.is_none_or(|to| to >= each.from)));
    // Taken up from a stored state, the open intervals are the same.
    let resumed = TimelineBuilder::resume(run.session.clone()).unwrap().finish(false);
    for node in &resumed.nodes {
        let same = whole.nodes.iter().find(|other| other.id == node.id).unwrap();
        assert_eq!(node.intervals.last(), same.intervals.last(), "{}", node.id);
    }
}

#[test]
fn an_end_before_the_start_is_refused() {
    let mut run = run();
    let end = |id: &str, times: Value| {
        let Value::Object(times) = times else { panic!("times") };
        let mut command = json!({"type": "setNodeStatus", "nodeId": id, "status": "completed"});
        command.as_object_mut().unwrap().extend(times);
        command
    };
    let refused = [
        end("new", json!({"startedAt": time(2), "completedAt": time(1)})),
        node("new", json!({"completedAt": time(1)})),
    ];
    for command in refused {
        assert_eq!(field(run.try_json(command)), "completedAt");
    }
    run.must(node("a", json!({"startedAt": time(500)})));
    assert_eq!(field(run.try_json(end("a", json!({"completedAt": time(499)})))), "completedAt");
    run.must(end("a", json!({"completedAt": time(600)})));
    assert_eq!(field(run.try_json(end("a", json!({"startedAt": time(601)})))), "completedAt");
    run.must(end("a", json!({"startedAt": time(600)})));
}

#[test]
fn instances_inherit_the_kind_and_keep_their_own_inside() {
    let mut run = in_graph();
    run.must(node("b", json!({"kind": "tool", "attributes": {"of": "b"}})));
    run.must(node("b#1", json!({"attributes": {"of": "one"}, "parentNodeId": "a"})));
    let instance = shown(&run, "b#1");
    assert_eq!((&instance["kind"], &instance["attributes"]), (&json!("tool"), &json!({"of": "one"})));
    assert_eq!(shown(&run, "b")["attributes"], json!({"of": "b"}));
    assert_eq!(shown(&run, "b").get("parentNodeId"), None);
}

#[test]
fn a_summary_ends_no_earlier_than_it_starts() {
    let mut run = in_graph();
    run.must(json!({"type": "setNodeStatus", "nodeId": "b", "status": "pending", "startedAt": time(900)}));
    run.must(json!({"type": "setNodeStatus", "nodeId": "b#1", "status": "skipped", "completedAt": time(5)}));
    assert_eq!(
        (&shown(&run, "b")["startedAt"], &shown(&run, "b")["completedAt"]),
        (&json!(time(900)), &json!(time(900)))
    );
    relive_session::check_created(&relive_session::Created::fork_of(&run.session)).unwrap();
}

#[test]
fn a_fork_begins_with_what_is_inside() {
    let mut run = in_graph();
    nest(&mut run, "step", "a").unwrap();
    run.must(node("b#1", json!({"parentNodeId": "step", "attributes": {"x": 1}})));
    let created = relive_session::Created::fork_of(&run.session);
    relive_session::check_created(&created).unwrap();
    let event = Event::Created(Box::new(created));
    let first = relive_session::Recorded { event, ..run.history[0].clone() };
    let fork = Session::create(&first).unwrap();
    assert_eq!((&fork.nodes, &fork.nesting), (&run.session.nodes, &run.session.nesting));
    let state = |change: fn(&mut Value)| {
        let mut first = serde_json::to_value(&first).unwrap();
        change(&mut first["event"]["forked"]["state"]);
        let Event::Created(created) = serde_json::from_value::<relive_session::Recorded>(first).unwrap().event else {
            panic!("created")
        };
        relive_session::check_created(&created)
    };
    assert_eq!(state(|_| ()), Ok(()));
    fn set(state: &mut Value, id: &str, key: &str, value: Value) {
        let nodes = state["nodes"].as_array_mut().unwrap();
        let node = nodes.iter_mut().find(|node| node["node"]["id"] == id).unwrap();
        node["node"][key] = value;
    }
    assert!(state(|state| set(state, "step", "parentNodeId", json!("b#1"))).is_err(), "a cycle");
    assert!(state(|state| set(state, "a", "parentNodeId", json!("a"))).is_err(), "a node above itself");
    assert!(state(|state| set(state, "step", "parentNodeId", json!("nowhere"))).is_err(), "no such parent");
    assert!(state(|state| set(state, "step", "parentNodeId", Value::Null)).is_err(), "not in the graph");
    assert!(state(|state| set(state, "b", "parentNodeId", json!("a"))).is_err(), "not as in the summary");
    assert!(state(|state| set(state, "step", "attributes", json!({"x": {}}))).is_err(), "not flat");
    assert!(state(|state| set(state, "step", "completedAt", json!(time(0)))).is_err(), "an end before the start");
}

#[test]
fn an_event_that_no_command_leads_to_is_not_applied() {
    let mut run = run();
    nest(&mut run, "b", "a").unwrap();
    nest(&mut run, "c", "b").unwrap();
    let before = run.session.clone();
    let last = run.history.last().unwrap().clone();
    for (id, parent) in [("a", "c"), ("a", "a"), ("n", "n")] {
        let mut recorded = last.clone();
        recorded.revision += 1;
        let event = json!({"type": "nodeStatusChanged", "nodeId": id, "status": "running", "attempt": 1, "parentNodeId": parent});
        recorded.event = serde_json::from_value(event).unwrap();
        assert!(run.session.apply(&recorded).is_err(), "{id} under {parent}");
        assert!(run.session.apply_verified(&recorded).is_err());
        assert_eq!(run.session, before);
    }
}

#[test]
fn logs_and_what_models_say_are_accepted_for_a_minute_after_the_end() {
    let mut run = run();
    run.bring("a", Completed);
    run.must(json!({"type": "complete"}));
    let log = serde_json::from_value(json!({"type": "addLog", "nodeId": "a", "level": "info", "text": "t"})).unwrap();
    let end = run.session.completed_at.unwrap();
    let after = |millis| end + std::time::Duration::from_millis(millis);
    let decided = relive_session::decide_at(&run.session, &log, after(60_000)).unwrap();
    assert!(matches!(&decided[..], [Event::LogAdded(_)]), "{decided:?}");
    assert!(relive_session::decide_at(&run.session, &log, after(60_001)).is_err());
    let new = serde_json::from_value(json!({"type": "addLog", "nodeId": "n", "level": "info", "text": "t"})).unwrap();
    let refused = relive_session::decide_at(&run.session, &new, after(1));
    assert_eq!(refused, Err(Refusal::UnknownNode { node_id: "n".into() }));
}

#[test]
fn logs_have_limits_and_leave_the_state_alone() {
    let mut run = run();
    run.bring("a", Running);
    let before = run.session.clone();
    let log = |text: String, attributes: Value| json!({"type": "addLog", "nodeId": "a", "level": "warn", "text": text, "attributes": attributes});
    run.must(log("x".repeat(64 * 1024), json!({"k": "v"})));
    assert_eq!((&run.session.nodes, run.session.revision), (&before.nodes, before.revision + 1));
    let stored = serde_json::to_value(&run.history.last().unwrap().event).unwrap();
    assert_eq!(stored, json!({"type": "logAdded", "nodeId": "a", "level": "warn"}));
    assert!(matches!(run.try_json(log("x".repeat(64 * 1024 + 1), json!({}))), Err(Refusal::TooLarge { .. })));
    assert_eq!(field(run.try_json(log("\0".to_owned(), json!({})))), "text");
    for wrong in [json!({"a": null}), json!({"a": [1]})] {
        assert_eq!(field(run.try_json(log(String::new(), wrong))), "attributes");
    }
}

proptest! {
    /// Whatever moves are tried, a model that walks the parents agrees about which are accepted.
    #[test]
    fn moves_are_accepted_exactly_if_no_cycle_and_no_depth_beyond_64_results(
        long in 55..=64usize,
        moves in prop::collection::vec((0..80usize, 0..80usize), 0..60),
    ) {
        let mut run = run();
        let mut parents = BTreeMap::new();
        let name = |number: usize| -> NodeId { format!("n{number}").into() };
        let chain = (1..=long).map(|level| (level, level - 1));
        for (id, parent) in chain.chain(moves) {
            let mut tried: BTreeMap<usize, usize> = parents.clone();
            tried.insert(id, parent);
            let fits = tried.keys().all(|id| {
                std::iter::successors(tried.get(id), |id| tried.get(*id)).take(66).count() <= limits::NODE_DEPTH
            });
            let outcome = nest(&mut run, name(id).as_str(), name(parent).as_str());
            prop_assert_eq!(outcome.is_ok(), fits, "{} under {}: {:?}", id, parent, outcome);
            if fits {
                parents = tried;
            }
        }
        let first = Session::create(&run.history[0]).unwrap();
        let json = Keyframe::of(&run.session).to_json().unwrap();
        let restored = Keyframe::from_json(&json).unwrap().restore_stored(&first, run.session.revision);
        prop_assert_eq!(restored.nesting, run.session.nesting);
    }

    #[test]
    fn attributes_merge_as_a_merge_patch_does(changes in prop::collection::vec(
        prop::collection::btree_map("[a-c]", prop::option::of(0..3u8), 0..3), 0..8))
    {
        let mut run = run();
        let mut model = BTreeMap::new();
        for change in changes {
            run.must(node("a", json!({"attributes": change})));
            for (key, value) in change {
                match value {
                    Some(value) => drop(model.insert(key, value)),
                    None => drop(model.remove(&key)),
                }
            }
        }
        let held = run.session.nodes.get("a").map(|node| json!(*node.snapshot.attributes)).unwrap_or(json!({}));
        prop_assert_eq!(held, json!(model));
    }
}
