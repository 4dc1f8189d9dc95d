//! Sessions that were started by other sessions.

use relive_session::{Command, Created, Event, Keyframe, NodeId, Recorded, Refusal, Session, SessionId, check_created};
use serde_json::json;
use uuid::Uuid;

use super::support::{Run, time};

fn created(parent: Option<u128>, node: Option<&str>) -> Created {
    let parent_session_id = parent.map(|id| SessionId(Uuid::from_u128(id)));
    Created { parent_session_id, parent_node_id: node.map(NodeId::from), ..Created::default() }
}

fn begun(created: Created) -> Run {
    let event = Event::Created(Box::new(created));
    let first = Recorded { session_id: SessionId(Uuid::from_u128(7)), revision: 1, at: time(1), by: None, event };
    Run { session: Session::create(&first).unwrap(), history: vec![first] }
}

fn shown(session: &Session) -> serde_json::Value {
    let (snapshot, summary) = (session.snapshot(), session.summary());
    assert_eq!(
        (snapshot.parent_session_id, &snapshot.parent_node_id),
        (summary.parent_session_id, &summary.parent_node_id)
    );
    json!([snapshot.parent_session_id, snapshot.parent_node_id])
}

#[test]
fn a_parent_is_shown_until_it_is_removed() {
    let mut run = begun(created(Some(3), Some("n")));
    let parent = json!([Uuid::from_u128(3), "n"]);
    assert_eq!(shown(&run.session), parent);
    run.must(json!({"type": "cancel"}));
    assert_eq!(shown(&run.session), parent);
    assert_eq!(run.execute(&Command::LeaveParent).unwrap(), [Event::ParentRemoved], "after the end as well");
    assert_eq!(shown(&run.session), json!([null, null]));
    assert_eq!(run.execute(&Command::LeaveParent).unwrap(), []);
    assert_eq!(begun(created(None, None)).execute(&Command::LeaveParent).unwrap(), []);

    let mut state = Session::create(&run.history[0]).unwrap();
    for recorded in &run.history[1..] {
        state.apply_verified(recorded).expect("what happened");
    }
    assert_eq!(state, run.session);
    let restored = Keyframe::of(&state).restore_stored(&Session::create(&run.history[0]).unwrap(), state.revision);
    assert_eq!((shown(&restored), &restored), (json!([null, null]), &state));
}

#[test]
fn a_fork_has_the_parent_that_is_there() {
    let fork = |run: &Run| {
        let created = Created::fork_of(&run.session);
        assert_eq!(check_created(&created), Ok(()));
        let event = Event::Created(Box::new(created));
        let first = Recorded { session_id: SessionId(Uuid::from_u128(8)), revision: 1, at: time(9), by: None, event };
        Session::create(&first).unwrap()
    };
    let mut run = begun(created(Some(3), Some("n")));
    assert_eq!(shown(&fork(&run)), shown(&run.session));
    run.execute(&Command::LeaveParent).unwrap();
    assert_eq!(shown(&fork(&run)), json!([null, null]));
}

#[test]
fn a_node_goes_with_a_parent() {
    for (parent, node, is_sound) in
        [(None, None, true), (Some(3), None, true), (Some(3), Some("n"), true), (None, Some("n"), false)]
    {
        assert_eq!(check_created(&created(parent, node)).is_ok(), is_sound, "{parent:?} {node:?}");
    }
    let outcome = check_created(&created(Some(3), Some("")));
    assert!(matches!(outcome, Err(Refusal::Invalid { field: "parentNodeId", .. })), "{outcome:?}");
}
