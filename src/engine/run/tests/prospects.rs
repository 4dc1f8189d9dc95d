//! Whether a run continues by itself, in all states of runs.

use super::*;
use crate::engine::Prospects;

/// All states that a session was in, event by event.
fn states(local: &Local) -> Vec<Session> {
    let memory = local.memory.lock();
    let mut states = vec![Session::create(&memory.history[0]).expect("a beginning")];
    for recorded in &memory.history[1..] {
        let mut next = states[states.len() - 1].clone();
        next.apply(recorded).expect("it fits");
        states.push(next);
    }
    states
}

/// Beside a review there are two rounds of a loop, and a node whose failure is ignored after a retry.
#[tokio::test]
async fn a_run_continues_until_only_its_review_is_left() {
    let last = json!({"command": "false", "onError": {"count": 1, "backoffSeconds": 0.01, "then": "continue"}});
    let graph = graph(&[
        ("p", "parallel", json!({}), &["r", "a"]),
        ("r", "human_review", json!({}), &["e"]),
        ("a", "command", sh("true"), &["l"]),
        ("l", "loop", json!({"maxRounds": 2}), &["a", "z"]),
        ("z", "command", last, &["e"]),
        ("e", "end", json!({}), &[]),
    ]);
    let prospects = Prospects::of(&graph).expect("a graph");
    let running = Running::start(graph, 1);
    let is_left = |session: &Session| {
        let failed = session.nodes.get("z").is_some_and(|node| {
            node.snapshot.status == Failed && node.snapshot.retry.is_none_or(|retry| retry.due_at.is_none())
        });
        failed && session.node_status(&"r".into()) == Some(Suspended)
    };
    running.local.until("only the review is left", is_left).await;
    let states = states(&running.local);
    let asked = states.iter().skip_while(|session| session.node_status(&"r".into()) != Some(Suspended));
    let continues: Vec<bool> = asked.map(|session| prospects.continues(session)).collect();
    let (left, before) = continues.split_last().expect("a review");
    assert!(!left, "nothing but the review is left");
    assert!(before.len() > 10 && before.iter().all(|continues| *continues), "{before:?}");

    running.local.tell(approve("r"));
    assert!(prospects.continues(&running.local.session()), "the answer is to be taken, or has been");
    let (local, ended) = running.end().await;
    assert_eq!(ended, Ok(Ended::Completed), "{:?}", local.session());
}

#[tokio::test]
async fn a_run_that_fails_does_not_wait_for_its_review() {
    let graph = graph(&[
        ("p", "parallel", json!({}), &["r", "a"]),
        ("r", "human_review", json!({}), &["e"]),
        ("a", "command", sh("false"), &["e"]),
        ("e", "end", json!({}), &[]),
    ]);
    let prospects = Prospects::of(&graph).expect("a graph");
    let (local, _) = Running::start(graph, 1).end().await;
    let mut waiting = states(&local);
    waiting.retain(|session| session.node_status(&"r".into()) == Some(Suspended));
    assert!(!waiting.is_empty());
    assert!(waiting.iter().all(|session| prospects.continues(session)));
}
