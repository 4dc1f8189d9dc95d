//! Replays of sessions that are still running: the live edge, and what comes after it.

use serde_json::{Value, json};

use super::{Replay, revisions};
use crate::harness::{TestServer, context, merge};

async fn change(server: &TestServer, id: &str, count: usize) -> u64 {
    // A value that is held already would change nothing.
    let value = || json!(uuid::Uuid::now_v7());
    let changes: Vec<Value> = (0..count).map(|n| context(&format!("key{}", n % 7), value())).collect();
    server.command(id, json!(changes)).await
}

/// The next `replayState` that is live.
async fn live(replay: &mut Replay) -> Value {
    replay.until(|frame| frame["live"] == true).await
}

#[tokio::test]
async fn at_the_live_edge_it_goes_on_live_and_ends_with_the_session() {
    let server = TestServer::start().await;
    for mode in ["snapshot", "delta", "events"] {
        let id = server.running_session().await;
        change(&server, &id, 40).await;
        let mut replay = Replay::open(&server, &id, &format!("speed=max&messages=true&mode={mode}")).await;
        for revision in 1..=42 {
            assert_eq!(replay.frame().await["revision"], revision, "{mode}");
        }
        let state = live(&mut replay).await;
        assert_eq!(
            (&state["revision"], &state["playing"], &state["lastRevision"]),
            (&json!(42), &json!(true), &json!(42))
        );
        server.command(&id, json!({"type": "addMessage", "nodeId": "a", "content": "live"})).await;
        let message = replay.frame().await;
        assert_eq!((&message["type"], &message["message"]["content"]), (&json!("message"), &json!("live")), "{mode}");
        let frame = replay.frame().await;
        let kind = match mode {
            "events" => "event",
            kind => kind,
        };
        assert_eq!((&frame["type"], &frame["revision"]), (&json!(kind), &json!(43)), "{mode}");
        if mode == "delta" {
            assert_eq!(frame["base"], 42, "a patch on what the replay had sent");
        }
        // The scrubber's end moves along.
        let state = replay.until(|frame| frame["lastRevision"] == 43).await;
        assert_eq!((&state["revision"], &state["live"], &state["at"]), (&json!(43), &json!(true), &state["endAt"]));
        server.command(&id, json!({"type": "complete"})).await;
        assert_eq!(replay.frame().await["revision"], 44);
        let end = replay.frame().await;
        assert_eq!(end, json!({"type": "end", "sessionId": id, "status": "completed", "revision": 44}), "{mode}");
        let state = replay.until(|frame| frame["playing"] == false).await;
        assert_eq!(
            (&state["live"], &state["revision"], &state["lastRevision"]),
            (&json!(false), &json!(44), &json!(44))
        );
        // From here it is a replay as any other.
        let (shown, _) = replay.control("seek", json!({"revision": 2})).await;
        assert_eq!(revisions(&shown), [2]);
        replay.send("play", json!({})).await;
        assert_eq!(replay.up_to_end().await.last(), Some(&end));
    }
}

#[tokio::test]
async fn it_stays_live_until_told_otherwise_and_comes_back_when_it_plays_on() {
    let server = TestServer::start().await;
    for mode in ["snapshot", "delta", "events"] {
        let id = server.running_session().await;
        let mut replay = Replay::open(&server, &id, &format!("speed=max&mode={mode}")).await;
        let mut state = Value::Null;
        live(&mut replay).await;
        for action in ["pause", "seek", "step", "step back"] {
            let held = server.session(&id).await["revision"].as_u64().expect("a revision");
            let (shown, answer) = match action {
                "seek" => replay.control("seek", json!({"revision": held})).await,
                "step back" => replay.control("step", json!({"by": -1})).await,
                action => replay.control(action, json!({})).await,
            };
            if let Some(frame) = shown.last() {
                state = frame["session"].clone();
            }
            // A seek goes on playing, and is soon live again.
            if action != "seek" {
                assert_eq!((&answer["live"], &answer["playing"]), (&json!(false), &json!(false)), "{mode} {action}");
                // Nobody is shown what happens now: that would not be paused.
                change(&server, &id, 3).await;
                replay.until(|frame| frame["lastRevision"] == held + 3).await;
            }
            replay.send("play", json!({})).await;
            let shown_to = answer["revision"].as_u64().expect("a revision");
            let last = server.session(&id).await["revision"].as_u64().expect("a revision");
            for revision in shown_to + 1..=last {
                let frame = replay.frame().await;
                assert_eq!(frame["revision"], revision, "{mode} {action}: no gap, no repetition");
                if mode == "delta" {
                    assert_eq!((&frame["type"], &frame["base"]), (&json!("delta"), &json!(revision - 1)));
                    state = if state.is_null() { state } else { merge(state, &frame["patch"]) };
                }
            }
            if mode == "delta" && !state.is_null() {
                assert_eq!(state, server.session(&id).await);
            }
            live(&mut replay).await;
        }
    }
}

#[tokio::test]
async fn another_speed_leaves_the_live_edge_until_something_was_played() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut replay = Replay::open(&server, &id, "speed=max&mode=events").await;
    live(&mut replay).await;
    let (_, state) = replay.control("speed", json!({"speed": 1_000})).await;
    assert_eq!((&state["live"], &state["playing"], &state["revision"]), (&json!(false), &json!(true), &json!(2)));
    change(&server, &id, 1).await;
    assert_eq!(replay.frame().await["revision"], 3);
    live(&mut replay).await;
}

#[tokio::test]
async fn while_a_driver_writes_nothing_is_missed_and_nothing_comes_twice() {
    const CHANGES: usize = 600;
    let server = TestServer::start().await;
    let id = server.running_session().await;
    change(&server, &id, 300).await;
    let mut replays = Vec::new();
    for query in ["speed=max&mode=events", "speed=1000&mode=events", "speed=max&mode=delta", "speed=max"] {
        let mut replay = Replay::open(&server, &id, query).await;
        let is_events = query.contains("events");
        replays.push(tokio::spawn(async move {
            let frames = replay.up_to_end().await;
            let mut state = Value::Null;
            for pair in frames[..frames.len() - 1].windows(2) {
                let (before, after) = (pair[0]["revision"].as_u64(), pair[1]["revision"].as_u64());
                assert!(before < after, "{before:?} and then {after:?}");
                assert!(!is_events || before.map(|before| before + 1) == after, "{before:?} and then {after:?}");
            }
            for frame in &frames {
                match frame["type"].as_str() {
                    Some("snapshot") => state = frame["session"].clone(),
                    Some("delta") => {
                        assert_eq!(frame["base"], state["revision"]);
                        state = merge(state, &frame["patch"]);
                    }
                    _ => {}
                }
            }
            (frames.len(), state)
        }));
    }
    let mut driver = server.socket("/ws").await;
    for n in 0..CHANGES {
        let command = context(&format!("key{}", n % 3), json!(n));
        driver.send(json!({"type": "command", "id": n.to_string(), "sessionId": id, "command": command})).await;
    }
    driver.send(json!({"type": "command", "id": "end", "sessionId": id, "command": {"type": "complete"}})).await;
    for (index, replay) in replays.into_iter().enumerate() {
        let (frames, state) = replay.await.expect("a replay that went well");
        if index < 2 {
            assert_eq!(frames, 2 + 300 + CHANGES + 1 + 1);
        } else {
            assert_eq!(state, server.session(&id).await);
        }
    }
}

#[tokio::test]
async fn a_range_that_is_still_to_come_is_played_as_it_comes_and_not_beyond() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut replay = Replay::open(&server, &id, "speed=max&mode=events&to=5").await;
    assert_eq!(
        (replay.frame().await["revision"].clone(), replay.frame().await["revision"].clone()),
        (json!(1), json!(2))
    );
    change(&server, &id, 10).await;
    let frames = replay.up_to_end().await;
    assert_eq!(revisions(&frames), [3, 4, 5, 5]);
    assert_eq!(frames[3]["status"], "running");
    let state = replay.state().await;
    assert_eq!((&state["lastRevision"], &state["live"]), (&json!(5), &json!(false)));
    assert_eq!(state["endAt"], server.session(&format!("{id}?revision=5")).await["updatedAt"]);
}

#[tokio::test]
async fn chunks_of_a_message_are_shown_at_the_live_edge() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut replay = Replay::open(&server, &id, "speed=max&messages=true").await;
    live(&mut replay).await;
    let mut driver = server.socket("/ws").await;
    let token =
        json!({"type": "token", "sessionId": id, "nodeId": "a", "messageId": uuid::Uuid::now_v7(), "text": "On"});
    driver.send(token.clone()).await;
    let chunk = replay.until(|frame| frame["type"] == "token").await;
    assert_eq!(chunk, token);
}
