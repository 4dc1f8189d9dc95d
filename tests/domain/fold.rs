//! What holds whatever commands come, in whatever order.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use relive_session::{Command, Event, Keyframe, NodeCounts, Recorded, Session, patch_between};
use serde_json::{Value, json};

use super::regressions::kept_cases;
use super::support::{Run, time};

fn small_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |number| number.is_finite().then(|| json!(number))),
        "[a-zé\"\\\\ ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Changes of attributes; `null` removes one.
fn any_attributes() -> impl Strategy<Value = Value> {
    let value = prop_oneof![Just(Value::Null), (0..3i64).prop_map(Value::from), "[a-z]{0,2}".prop_map(Value::from)];
    prop::collection::btree_map("[a-c]", value, 0..3).prop_map(|entries| json!(entries))
}

fn any_command() -> impl Strategy<Value = Command> {
    let node = || prop::sample::select(vec!["a", "b", "c", "x", "y", "a#1", "a#2", "c#x"]);
    let level = prop::sample::select(vec!["debug", "info", "warn", "error"]);
    let kind = || prop::sample::select(vec!["agent", "llm", "tool"]).prop_map(Value::from);
    let status =
        prop::sample::select(vec!["pending", "running", "running", "completed", "failed", "skipped", "suspended"]);
    let optional = |value: BoxedStrategy<Value>| prop_oneof![2 => Just(Value::Null), 1 => value].boxed();
    let text = || "[a-z]{0,5}".prop_map(Value::from).boxed();
    let progress = (0.0..=1.0f64).prop_map(Value::from).boxed();
    let time = || (0..40i64).prop_map(|second| json!(time(1_000 * second.unsigned_abs())));
    let inside = (
        optional(node().prop_map(Value::from).boxed()),
        optional(kind().boxed()),
        optional(any_attributes().boxed()),
        optional(time().boxed()),
        optional(time().boxed()),
    );
    let json = prop_oneof![
        4 => Just(json!({"type": "start"})),
        1 => Just(json!({"type": "pause"})),
        2 => Just(json!({"type": "resume"})),
        1 => optional(small_json().boxed()).prop_map(|outputs| json!({"type": "complete", "outputs": outputs})),
        1 => text().prop_map(|error| json!({"type": "fail", "error": error})),
        1 => optional(text()).prop_map(|reason| json!({"type": "stop", "reason": reason})),
        1 => optional(text()).prop_map(|reason| json!({"type": "cancel", "reason": reason})),
        24 => (node(), status, optional(text()), optional(text()), optional(progress), optional(text()),
               optional(small_json().boxed()), optional(small_json().boxed()),
               optional(prop::collection::vec(node(), 0..2).prop_map(|next| json!(next)).boxed()), inside)
            .prop_map(|(node, status, name, node_type, progress, error, output, input, next, inside)| {
                let (parent, kind, attributes, started, completed) = inside;
                let completed = if ["completed", "failed", "skipped"].contains(&status) { completed } else { Value::Null };
                json!({"type": "setNodeStatus",
                "nodeId": node, "status": status, "name": name, "nodeType": node_type, "progress": progress,
                "error": error, "output": output, "input": input, "nextIds": next, "parentNodeId": parent, "kind": kind,
                "attributes": attributes, "startedAt": started, "completedAt": completed})
            }),
        6 => (node(), 0..1_000_000_000_000u64, 0..100u64, optional((0.0..10.0f64).prop_map(Value::from).boxed()))
            .prop_map(|(node, input, output, cost)| json!({"type": "recordUsage", "nodeId": node,
                "inputTokens": input, "outputTokens": output, "costUsd": cost})),
        12 => ("[k-n]", small_json()).prop_map(|(key, value)| json!({"type": "setContext", "key": key, "value": value})),
        2 => small_json().prop_map(|proposal| json!({"type": "setProposal", "proposal": proposal})),
        4 => (optional(text()), optional(prop::collection::btree_set("[a-c]", 0..3).prop_map(|tags| json!(tags)).boxed()),
              optional(prop::collection::btree_map("[a-c]", -2..2i32, 0..3).prop_map(|entries| json!(entries)).boxed()))
            .prop_map(|(name, tags, metadata)| json!({"type": "setLabels", "name": name, "tags": tags,
                "metadata": metadata})),
        6 => (node(), small_json()).prop_map(|(node, payload)| json!({"type": "signal", "nodeId": node, "payload": payload})),
        3 => (node(), any::<u128>(), text(), optional(small_json().boxed())).prop_map(|(node, id, content, arguments)| {
            let calls = if arguments.is_null() { Value::Null } else { json!([{"id": "c", "name": "t", "arguments": arguments}]) };
            json!({"type": "addMessage", "messageId": uuid::Uuid::from_u128(id), "nodeId": node, "content": content,
                "role": "tool", "toolCalls": calls, "toolCallId": "c", "contentType": "application/json"})
        }),
        3 => (node(), level, text(), optional(time().boxed())).prop_map(|(node, level, text, at)| json!({"type": "addLog",
            "nodeId": node, "level": level, "text": text, "at": at, "attributes": {"k": 1}})),
        2 => (any::<u128>(), text()).prop_map(|(id, content)| json!({"type": "addMemory",
            "memoryId": uuid::Uuid::from_u128(id), "content": content})),
    ];
    json.prop_map(|json| serde_json::from_value(json).expect("a command"))
}

fn graph() -> Value {
    let node = |id: &str, next: &[&str]| json!({"id": id, "type": "step", "name": id, "nextIds": next});
    json!({"name": "g", "startNodeId": "a", "nodes": {"a": node("a", &["b", "c"]), "b": node("b", &[]), "c": node("c", &[])}})
}

/// A run of commands that begins like most do; refused ones change nothing.
fn any_run() -> impl Strategy<Value = (Run, Vec<Session>)> {
    (any::<bool>(), prop::collection::vec(any_command(), 0..60)).prop_map(|(with_graph, commands)| {
        let mut run = Run::new(with_graph.then(graph));
        let mut states = vec![run.session.clone()];
        for command in &commands {
            let before = run.session.clone();
            let outcome = run.execute(command);
            if before.status.is_ended() && !matches!(command, Command::SetLabels(_)) {
                assert!(outcome.is_err(), "{command:?} was accepted after the end");
            }
            match outcome {
                Ok(events) if !events.is_empty() => states.push(run.session.clone()),
                _ => assert_eq!(run.session, before, "{command:?}"),
            }
        }
        (run, states)
    })
}

/// The event as it comes back from the journal.
fn stored(recorded: &Recorded) -> Recorded {
    let text = serde_json::to_string(&recorded.event).unwrap();
    let event: Event = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&event).unwrap(), text, "an event changes its text on the way");
    Recorded { event, ..recorded.clone() }
}

fn fold(mut state: Session, tail: &[Recorded]) -> Session {
    for recorded in tail {
        state.apply(&stored(recorded)).expect("a stored event applies");
    }
    state
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
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

/// Cases that failed once are kept beside this file, and run before any new one. By default they would be
/// looked for below a directory with a `main.rs` or `lib.rs`, which integration tests do not have.
fn config() -> ProptestConfig {
    let kept = FileFailurePersistence::WithSource("proptest-regressions");
    ProptestConfig { cases: 400, failure_persistence: Some(Box::new(kept)), ..ProptestConfig::default() }
}

#[test]
fn the_cases_kept_beside_this_file_are_run() {
    let mut runner = TestRunner::new(ProptestConfig { cases: 0, source_file: Some(file!()), ..config() });
    let runs = Cell::new(0);
    runner
        .run(&any_run(), |_| {
            runs.set(runs.get() + 1);
            Ok(())
        })
        .unwrap();
    assert_eq!(runs.get(), kept_cases(include_str!("fold.proptest-regressions")));
    assert_ne!(runs.get(), 0);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_stored_history_folds_to_the_state((run, _) in any_run()) {
        let first = Session::create(&stored(&run.history[0])).unwrap();
        prop_assert_eq!(&fold(first, &run.history[1..]), &run.session);
        for (recorded, revision) in run.history.iter().zip(1..) {
            prop_assert_eq!(recorded.revision, revision);
        }
    }

    #[test]
    fn a_keyframe_and_its_tail_lead_to_the_same_state((run, states) in any_run()) {
        let first = Session::create(&run.history[0]).unwrap();
        for state in &states {
            let json = Keyframe::of(state).to_json().unwrap();
            let restored = Keyframe::from_json(&json).unwrap().restore_stored(&first, state.revision);
            prop_assert_eq!(&restored, state);
            let place = usize::try_from(state.revision).unwrap();
            prop_assert_eq!(&fold(restored, &run.history[place..]), &run.session);
        }
    }

    #[test]
    fn what_is_counted_equals_a_recount((_, states) in any_run()) {
        for state in states {
            prop_assert_eq!(state.node_counts, NodeCounts::of(state.nodes.values().map(|node| node.snapshot.status)));
            let active: Vec<_> =
                state.nodes.iter().filter(|(_, node)| node.snapshot.status.is_active()).map(|(id, _)| id).collect();
            prop_assert_eq!(state.active.iter().collect::<Vec<_>>(), active);
            let bytes = |(key, entry): (&String, _)| key.len() + serde_json::to_string(entry).unwrap().len();
            prop_assert_eq!(state.context_bytes, state.context.iter().map(bytes).sum::<usize>());
            let above = |id: &relive_session::NodeId| state.origin.parent_of(&state.nodes[id].snapshot);
            for (id, node) in &state.nodes {
                prop_assert!(std::iter::successors(above(id), |id| above(id)).take(65).count() <= 64, "{} is too deep", id);
                let (start, end) = (node.snapshot.started_at, node.snapshot.completed_at);
                prop_assert!(start.zip(end).is_none_or(|(start, end)| start <= end), "{} ends before it starts", id);
                prop_assert!(node.snapshot.attributes.values().all(|value| !value.is_null()));
            }
            for (id, instances) in &state.instances {
                let of = |(instance, _): &(&relive_session::NodeId, _)| state.origin.node_of_instance(instance) == Some(id);
                let statuses: Vec<_> = state.nodes.iter().filter(of).map(|(_, node)| node.snapshot.status).collect();
                let shown = state.nodes[id].snapshot.status;
                let reported = Some(instances.reported.status).filter(|status| status.as_str() != "pending");
                let expected = ["running", "suspended", "pending", "failed", "completed", "skipped"]
                    .into_iter()
                    .find(|wanted| statuses.iter().chain(&reported).any(|status| status.as_str() == *wanted));
                prop_assert_eq!(Some(shown.as_str()), expected);
                let used = |node: &relive_session::NodeStateSnapshot| node.token_usage.map_or(0, |used| used.input_tokens);
                let sum: u64 = state.nodes.iter().filter(of).map(|(_, node)| used(&node.snapshot)).sum();
                prop_assert_eq!(used(&state.nodes[id].snapshot), sum + used(&instances.reported));
            }
            if state.status.is_ended() {
                prop_assert!(state.active.is_empty() && state.signals.is_empty());
            }
        }
    }

    #[test]
    fn a_patch_leads_from_any_state_to_any_later_one((_, states) in any_run(), pick in any::<(usize, usize)>()) {
        let (one, other) = (pick.0 % states.len(), pick.1 % states.len());
        let (base, head) = (&states[one.min(other)], &states[one.max(other)]);
        let json = |state: &Session| serde_json::to_value(state.snapshot()).unwrap();
        if let Ok(patch) = patch_between(base, head) {
            let mut patched = json(base);
            merge(&mut patched, &Value::Object(patch));
            prop_assert_eq!(patched, json(head));
        } else {
            // Only a `null` member in the context cannot be said.
            let nulls = |value: &Value| value.to_string().contains("null");
            prop_assert!(nulls(&json(head)["contextData"]));
        }
    }
}
