//! Leases of engines outside the server.

use relive_session::{
    Command, Created, Driver, Event, Keyframe, Recorded, Refusal, Session, SessionId, SessionStatus, decide_at,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::{Run, time};

const STALL: Command = Command::Stall { granted: None };

fn renew(seconds: u32, is_late: bool) -> Command {
    Command::RenewLease { seconds, is_late }
}

fn stalled() -> Run {
    let mut run = Run::at(SessionStatus::Running);
    run.execute(&renew(30, false)).unwrap();
    assert_eq!(run.execute(&STALL).unwrap(), [Event::Stalled]);
    run
}

#[test]
fn a_renewal_is_said_when_it_says_something() {
    let mut run = Run::at(SessionStatus::Pending);
    let said = |seconds| vec![Event::DriverSeen { lease_seconds: seconds }];
    for (renewal, expected) in [
        (renew(30, false), said(30)),
        (renew(30, false), vec![]),
        (renew(31, false), said(31)),
        (renew(31, true), said(31)),
        (STALL, vec![Event::Stalled]),
        (STALL, vec![]),
        (renew(31, false), said(31)),
    ] {
        assert_eq!(run.execute(&renewal).unwrap(), expected, "{renewal:?}");
    }
    let seen = run.session.driver_seen_at().unwrap().as_millis();
    let after = |millis: i64| relive_session::Timestamp::from_millis(seen + millis).unwrap();
    assert_eq!(decide_at(&run.session, &renew(31, false), after(59_999)).unwrap(), []);
    assert_eq!(decide_at(&run.session, &renew(31, false), after(60_000)).unwrap(), said(31));
    for seconds in [0, 4, 3_601, u32::MAX] {
        assert!(matches!(run.execute(&renew(seconds, true)), Err(Refusal::Invalid { field: "leaseSeconds", .. })));
    }
}

#[test]
fn the_drivers_commands_clear_it_and_others_do_not() {
    for command in [
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "running"}),
        json!({"type": "recordUsage", "nodeId": "a", "inputTokens": 1, "outputTokens": 1}),
        json!({"type": "setContext", "key": "k", "value": 1}),
        json!({"type": "setProposal", "proposal": 1}),
        json!({"type": "addMessage", "messageId": "m", "nodeId": "a", "content": "c"}),
        json!({"type": "addMemory", "memoryId": Uuid::nil(), "content": "c"}),
    ] {
        let mut run = stalled();
        run.must(command.clone());
        assert!(!run.session.is_stalled(), "{command}");
        assert_eq!(run.session.driver_seen_at(), Some(run.session.updated_at));
        let is_of_driver = serde_json::from_value::<Command>(command).unwrap().is_of_driver();
        assert!(is_of_driver);
    }
    for command in [
        json!({"type": "pause"}),
        json!({"type": "setLabels", "name": "n"}),
        json!({"type": "signal", "nodeId": "s", "payload": 1}),
    ] {
        let mut run = Run::at(SessionStatus::Running);
        run.bring("s", relive_session::NodeStatus::Suspended);
        run.execute(&renew(30, false)).unwrap();
        run.execute(&STALL).unwrap();
        run.must(command.clone());
        assert!(run.session.is_stalled(), "{command}");
        assert!(!serde_json::from_value::<Command>(command).unwrap().is_of_driver());
    }
    for end in ["complete", "cancel", "stop"] {
        let mut run = stalled();
        run.must(json!({"type": end}));
        assert!(!run.session.is_stalled(), "{end}");
        assert_eq!(run.execute(&STALL).unwrap(), [], "what has ended is not stalled");
        assert_eq!(run.execute(&renew(30, true)).unwrap(), []);
    }
}

#[test]
fn it_passes_only_as_it_was_granted() {
    let mut run = Run::at(SessionStatus::Running);
    assert_eq!(run.execute(&STALL).unwrap(), [], "there is none");
    run.execute(&renew(30, false)).unwrap();
    let granted = Some(run.session.revision);
    run.must(json!({"type": "setContext", "key": "k", "value": 1}));
    run.execute(&renew(30, true)).unwrap();
    assert_eq!(run.execute(&Command::Stall { granted }).unwrap(), [], "it was renewed meanwhile");
    let granted = Some(run.session.revision);
    run.must(json!({"type": "setContext", "key": "k", "value": 2}));
    assert_eq!(run.execute(&Command::Stall { granted }).unwrap(), [Event::Stalled]);
}

#[test]
fn it_is_in_histories_and_keyframes_and_not_in_forks() {
    let run = stalled();
    let mut state = Session::create(&run.history[0]).unwrap();
    for recorded in &run.history[1..] {
        state.apply_verified(recorded).expect("what happened");
    }
    assert_eq!(state, run.session);
    let restored = Keyframe::of(&state).restore_stored(&Session::create(&run.history[0]).unwrap(), state.revision);
    assert_eq!(restored, state);
    let event = Event::Created(Box::new(Created::fork_of(&state)));
    let first = Recorded { session_id: SessionId(Uuid::from_u128(8)), revision: 1, at: time(9), by: None, event };
    let fork = Session::create(&first).unwrap();
    assert_eq!((fork.lease, fork.status), (None, SessionStatus::Running));
    let shown = serde_json::to_value(fork.snapshot()).unwrap();
    assert_eq!((shown.get("driverSeenAt"), shown.get("isStalled")), (None, None));
    assert_eq!(run.snapshot()["isStalled"], Value::Bool(true));
}

#[test]
fn the_built_in_engine_has_leases_of_its_own() {
    let event = Event::Created(Box::new(Created { driver: Driver::Builtin, ..Created::default() }));
    let first = Recorded { session_id: SessionId(Uuid::from_u128(7)), revision: 1, at: time(1), by: None, event };
    let mut run = Run { session: Session::create(&first).unwrap(), history: vec![first] };
    assert!(matches!(run.execute(&renew(30, false)), Err(Refusal::Invalid { field: "leaseSeconds", .. })));
}
