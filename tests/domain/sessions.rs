//! Every transition of a session, as section 2 of the protocol has it.

use relive_session::{Command, NodeStatus, Recorded, Refusal, SessionStatus, SessionStatus::*, Timestamp, decide_at};
use serde_json::{Value, json};

use super::support::Run;

/// What becomes of a command in one status of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// Accepted; the session is then…
    To(SessionStatus),
    /// Accepted; the session's status stays.
    Ok,
    /// Refused as an illegal transition.
    No,
    /// Refused because the node does not wait for a signal.
    NotWaiting,
}
use Cell::{No, NotWaiting, Ok, To};

/// One row per command, one column per status:
/// pending, running, paused, completed, failed, cancelled.
fn table() -> Vec<(Value, [Cell; 6])> {
    vec![
        (json!({"type": "start"}), [To(Running), No, No, No, No, No]),
        (json!({"type": "pause"}), [No, To(Paused), No, No, No, No]),
        (json!({"type": "resume"}), [No, No, To(Running), No, No, No]),
        (json!({"type": "complete"}), [No, To(Completed), No, No, No, No]),
        (json!({"type": "fail", "error": "e"}), [No, To(Failed), To(Failed), No, No, No]),
        (json!({"type": "stop"}), [No, To(Failed), To(Failed), No, No, No]),
        (json!({"type": "cancel"}), [To(Cancelled), To(Cancelled), To(Cancelled), No, No, No]),
        (json!({"type": "setNodeStatus", "nodeId": "n", "status": "running"}), [No, Ok, Ok, No, No, No]),
        (json!({"type": "recordUsage", "nodeId": "n", "inputTokens": 1, "outputTokens": 2}), [No, Ok, Ok, No, No, No]),
        (json!({"type": "addMessage", "messageId": ID, "nodeId": "n", "content": "c"}), [No, Ok, Ok, No, No, No]),
        (json!({"type": "addMemory", "memoryId": ID, "content": "c"}), [No, Ok, Ok, No, No, No]),
        (json!({"type": "setContext", "key": "k", "value": 1}), [Ok, Ok, Ok, No, No, No]),
        (json!({"type": "setProposal", "proposal": {"p": 1}}), [Ok, Ok, Ok, No, No, No]),
        (json!({"type": "setLabels", "name": "n", "tags": ["t"]}), [Ok, Ok, Ok, Ok, Ok, Ok]),
        // Nobody waits here; where a node does, see below.
        (json!({"type": "signal", "nodeId": "n", "payload": 1}), [NotWaiting, NotWaiting, NotWaiting, No, No, No]),
    ]
}

const ID: &str = "00000000-0000-0000-0000-000000000001";
const STATUSES: [SessionStatus; 6] = [Pending, Running, Paused, Completed, Failed, Cancelled];

#[test]
fn every_command_in_every_status() {
    for (command, row) in table() {
        for (status, cell) in STATUSES.into_iter().zip(row) {
            let mut run = Run::at(status);
            let before = run.session.clone();
            let outcome = run.try_json(command.clone());
            let context = format!("{command} while {status:?}: {outcome:?}");
            match cell {
                To(next) => assert!(outcome.is_ok() && run.session.status == next, "{context}"),
                Ok => {
                    assert!(outcome.is_ok_and(|events| events.len() == 1) && run.session.status == status, "{context}")
                }
                No => assert!(matches!(outcome, Err(Refusal::SessionTransition { .. })), "{context}"),
                NotWaiting => assert!(matches!(outcome, Err(Refusal::NotWaiting { .. })), "{context}"),
            }
            if matches!(cell, No | NotWaiting) {
                assert_eq!(run.session, before, "{context}");
            }
        }
    }
}

#[test]
fn a_session_does_not_complete_while_a_node_is_active() {
    for (status, allowed) in [
        ("pending", true),
        ("running", false),
        ("suspended", false),
        ("completed", true),
        ("failed", true),
        ("skipped", true),
    ] {
        let mut run = Run::at(Running);
        run.bring("n", serde_json::from_value(json!(status)).unwrap());
        let outcome = run.try_json(json!({"type": "complete"}));
        assert_eq!(outcome.is_ok(), allowed, "{status}: {outcome:?}");
        if !allowed {
            assert!(matches!(outcome, Err(Refusal::NodesActive { count: 1, .. })), "{outcome:?}");
        }
    }
}

/// The ending rules: what becomes of a node in each status when the session ends.
#[test]
fn nodes_end_with_their_session() {
    let ends = [
        (json!({"type": "fail", "error": "broken"}), Failed),
        (json!({"type": "stop", "reason": "enough"}), Failed),
        (json!({"type": "cancel"}), Cancelled),
    ];
    let nodes = [
        ("pending", "skipped"),
        ("running", "failed"),
        ("suspended", "skipped"),
        ("completed", "completed"),
        ("failed", "failed"),
        ("skipped", "skipped"),
    ];
    for (end, status) in ends {
        for pause_first in [false, true] {
            let mut run = Run::at(Running);
            for (node, _) in nodes {
                run.bring(node, serde_json::from_value(json!(node)).unwrap());
            }
            if pause_first {
                run.must(json!({"type": "pause"}));
            }
            let events = run.must(end.clone());
            assert_eq!(events.len(), 1, "the nodes end within the ending event");
            let snapshot = run.snapshot();
            assert_eq!(run.session.status, status);
            assert_eq!(snapshot["activeNodeIds"], json!([]));
            assert!(snapshot["completedAt"].is_string());
            for (node, then) in nodes {
                assert_eq!(snapshot["nodes"][node]["status"], then, "{node} on {end}");
                assert!(snapshot["nodes"][node]["completedAt"].is_string(), "{node} on {end}");
            }
        }
    }
    let mut run = Run::at(Running);
    run.bring("left", relive_session::NodeStatus::Pending);
    run.must(json!({"type": "complete", "outputs": {"o": 1}}));
    assert_eq!(run.snapshot()["nodes"]["left"]["status"], "skipped");
}

#[test]
fn what_nodes_used_and_said_is_taken_for_a_minute_after_the_end() {
    let late = [
        json!({"type": "recordUsage", "nodeId": "n", "inputTokens": 5, "outputTokens": 0}),
        json!({"type": "addMessage", "messageId": uuid::Uuid::from_u128(1), "nodeId": "n", "content": "c"}),
        json!({"type": "addMemory", "memoryId": uuid::Uuid::from_u128(2), "content": "c"}),
    ];
    for end in ["complete", "stop", "cancel"] {
        let mut run = Run::at(SessionStatus::Running);
        run.bring("n", NodeStatus::Completed);
        run.must(json!({"type": end}));
        let (status, ended) = (run.session.status, run.session.completed_at.unwrap());
        let after = |millis: i64| Timestamp::from_millis(ended.as_millis() + millis).unwrap();
        for command in &late {
            let command: Command = serde_json::from_value(command.clone()).unwrap();
            assert!(decide_at(&run.session, &command, after(60_001)).is_err());
            let events = decide_at(&run.session, &command, after(60_000)).unwrap();
            let (session_id, revision) = (run.session.id, run.session.revision + 1);
            let recorded = |at| Recorded { session_id, revision, at, by: None, event: events[0].clone() };
            assert!(run.session.clone().apply(&recorded(after(60_001))).is_err());
            let mut next = run.session.clone();
            next.apply(&recorded(after(60_000))).unwrap();
            run.session = next;
        }
        assert_eq!((run.session.status, run.session.completed_at, run.session.total_tokens), (status, Some(ended), 5));
        for refused in [
            json!({"type": "setNodeStatus", "nodeId": "n", "status": "running"}),
            json!({"type": "setContext", "key": "k", "value": 1}),
            json!({"type": "recordUsage", "nodeId": "new", "inputTokens": 5, "outputTokens": 0}),
        ] {
            let command: Command = serde_json::from_value(refused).unwrap();
            assert!(decide_at(&run.session, &command, after(1)).is_err(), "{command:?}");
        }
    }
}
