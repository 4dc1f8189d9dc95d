//! Play, pause, seek, step and speed.

use serde_json::{Value, json};

use super::{Replay, ended_session, retime, revisions, time};
use crate::harness::{DEADLINE, TestServer, merge};

/// Twelve revisions, a minute apart: nothing comes by itself at speed 1.
async fn slow_session(server: TestServer) -> (TestServer, String) {
    let id = ended_session(&server, 12).await;
    let times: Vec<i64> = (0..12).map(|n| n * 60_000).collect();
    (retime(server, &id, &times).await, id)
}

fn standing(state: &Value) -> (u64, &str, bool) {
    let playing = state["playing"].as_bool().expect("playing");
    (state["revision"].as_u64().expect("a revision"), state["at"].as_str().expect("a time"), playing)
}

#[tokio::test]
async fn seeking_goes_to_a_revision_or_a_time_and_shows_it_whole() {
    let (server, id) = slow_session(TestServer::start().await).await;
    for mode in ["snapshot", "delta", "events"] {
        let (mut replay, _) = Replay::paused(&server, &id, &format!("mode={mode}")).await;
        for (target, revision, at) in [
            (json!({"revision": 7}), 7, time(360_000)),
            (json!({"revision": 3}), 3, time(120_000)),
            (json!({"at": time(245_000)}), 5, time(245_000)),
            (json!({"at": time(240_000)}), 5, time(240_000)),
            (json!({"revision": -4}), 1, time(0)),
            (json!({"revision": 0}), 1, time(0)),
            (json!({"revision": 9_007_199_254_740_991_u64}), 12, time(660_000)),
            (json!({"at": "1970-01-01T00:00:00Z"}), 1, time(0)),
            (json!({"at": "9999-12-31T23:59:59Z"}), 12, time(660_000)),
        ] {
            let (shown, state) = replay.control("seek", target.clone()).await;
            let session = server.session(&format!("{id}?revision={revision}")).await;
            let snapshot = json!({"type": "snapshot", "sessionId": id, "revision": revision, "session": session});
            assert_eq!(shown, [snapshot], "{mode} {target}");
            assert_eq!(standing(&state), (revision, at.as_str(), false), "{mode} {target}");
        }
    }
}

#[tokio::test]
async fn seeks_in_a_long_run_go_through_its_stored_states() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 1_200).await;
    let (mut replay, _) = Replay::paused(&server, &id, "mode=delta").await;
    for revision in [1_199, 256, 255, 257, 1, 512, 1_200, 700] {
        let (shown, _) = replay.control("seek", json!({"revision": revision})).await;
        let mut state = shown[0]["session"].clone();
        assert_eq!(state, server.session(&format!("{id}?revision={revision}")).await);
        let (shown, _) = replay.control("step", json!({})).await;
        for delta in shown {
            state = merge(state, &delta["patch"]);
            assert_eq!(state, server.session(&format!("{id}?revision={}", revision + 1)).await);
        }
    }
}

#[tokio::test]
async fn stepping_goes_forward_by_what_the_mode_prescribes_and_back_by_whole_states() {
    let (server, id) = slow_session(TestServer::start().await).await;
    for (mode, kind) in [("snapshot", "snapshot"), ("delta", "delta"), ("events", "event")] {
        let (mut replay, _) = Replay::paused(&server, &id, &format!("mode={mode}&from=2")).await;
        let steps = [
            (json!({}), kind, 3),
            (json!({"by": 1}), kind, 4),
            (json!({"by": -1}), "snapshot", 3),
            (json!({"revision": -1}), "snapshot", 2),
            (json!({"by": -1}), "snapshot", 2),
            (json!({}), kind, 3),
        ];
        for (more, kind, revision) in steps {
            let (shown, state) = replay.control("step", more.clone()).await;
            let kinds: Vec<(&Value, &Value)> = shown.iter().map(|frame| (&frame["type"], &frame["revision"])).collect();
            assert_eq!(kinds, [(&json!(kind), &json!(revision))], "{mode} {more}");
            assert_eq!(standing(&state), (revision, time(revision as i64 * 60_000 - 60_000).as_str(), false), "{mode}");
        }
        // At the last there is nothing to step to.
        replay.control("seek", json!({"revision": 12})).await;
        let (shown, state) = replay.control("step", json!({})).await;
        assert_eq!((shown.len(), standing(&state).0), (0, 12), "{mode}");
    }
}

#[tokio::test]
async fn after_a_step_back_deltas_and_events_go_on_from_the_whole_state() {
    let (server, id) = slow_session(TestServer::start().await).await;
    let (mut replay, _) = Replay::paused(&server, &id, "mode=delta").await;
    replay.control("seek", json!({"revision": 6})).await;
    let (shown, _) = replay.control("step", json!({"by": -1})).await;
    let mut state = shown[0]["session"].clone();
    for revision in 6..=12 {
        let (shown, _) = replay.control("step", json!({})).await;
        assert_eq!(shown[0]["base"], revision - 1);
        state = merge(state, &shown[0]["patch"]);
        assert_eq!(state, server.session(&format!("{id}?revision={revision}")).await);
    }
}

#[tokio::test]
async fn a_step_while_playing_pauses() {
    let (server, id) = slow_session(TestServer::start().await).await;
    let mut replay = Replay::open(&server, &id, "").await;
    assert!(standing(&replay.state().await).2);
    let (shown, state) = replay.control("step", json!({})).await;
    assert_eq!((revisions(&shown), standing(&state)), (vec![2], (2, time(60_000).as_str(), false)));
}

#[tokio::test]
async fn play_goes_on_from_where_it_was_paused_and_at_the_end_from_the_beginning() {
    let (server, id) = slow_session(TestServer::start().await).await;
    for mode in ["snapshot", "delta", "events"] {
        let (mut replay, _) = Replay::paused(&server, &id, &format!("mode={mode}&speed=max&from=2")).await;
        replay.control("seek", json!({"revision": 9})).await;
        replay.send("play", json!({})).await;
        assert_eq!(revisions(&replay.up_to_end().await), [10, 11, 12, 12], "{mode}");
        assert_eq!(standing(&replay.state().await), (12, time(660_000).as_str(), false));
        let (shown, state) = replay.control("pause", json!({})).await;
        assert_eq!((shown.len(), standing(&state).2), (0, false));
        replay.send("play", json!({})).await;
        let again = replay.up_to_end().await;
        assert_eq!(again[0]["type"], "snapshot", "whole, in every mode");
        assert_eq!(revisions(&again), (2..=12).chain([12]).collect::<Vec<_>>(), "{mode}");
        // And the socket stays for seeking.
        replay.control("seek", json!({"revision": 11})).await;
        let (shown, state) = replay.control("step", json!({})).await;
        assert_eq!((revisions(&shown), standing(&state).2), (vec![12], false));
    }
}

#[tokio::test]
async fn a_seek_while_playing_goes_on_playing() {
    let (server, id) = slow_session(TestServer::start().await).await;
    let mut replay = Replay::open(&server, &id, "speed=0.1").await;
    replay.state().await;
    let (_, state) = replay.control("seek", json!({"revision": 4})).await;
    assert_eq!((standing(&state).0, standing(&state).2), (4, true));
    // Ten minutes away at this speed; at once at the other.
    replay.send("speed", json!({"speed": "max"})).await;
    assert_eq!(revisions(&replay.up_to_end().await), [5, 6, 7, 8, 9, 10, 11, 12, 12]);
}

#[tokio::test]
async fn the_speed_changes_while_playing() {
    let (server, id) = slow_session(TestServer::start().await).await;
    let mut replay = Replay::open(&server, &id, "").await;
    for (given, said) in
        [(json!(0.1), json!(0.1)), (json!(1.0), json!(1)), (json!("max"), json!("max")), (json!(999.5), json!(999.5))]
    {
        replay.send("pause", json!({})).await;
        let (_, state) = replay.control("speed", json!({"speed": given})).await;
        assert_eq!((&state["speed"], &state["playing"]), (&said, &json!(false)));
    }
    replay.control("seek", json!({"revision": 1})).await;
    // Eleven minutes in 0.66 s.
    replay.send("speed", json!({"speed": 1_000})).await;
    replay.send("play", json!({})).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(revisions(&replay.up_to_end().await), (2..=12).chain([12]).collect::<Vec<_>>());
    assert!(begun.elapsed() < DEADLINE);
    // Play takes a speed along.
    let (_, state) = replay.control("play", json!({"speed": 0.5})).await;
    assert_eq!((&state["speed"], &state["playing"]), (&json!(0.5), &json!(true)));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_the_replay_goes_on() {
    let (server, id) = slow_session(TestServer::start().await).await;
    let (mut replay, before) = Replay::paused(&server, &id, "from=3").await;
    for frame in [
        json!({"type": "replay", "action": "seek"}),
        json!({"type": "replay", "action": "seek", "revision": 3, "at": time(0)}),
        json!({"type": "replay", "action": "seek", "revision": "3"}),
        json!({"type": "replay", "action": "seek", "revision": 1.5}),
        json!({"type": "replay", "action": "seek", "at": "noon"}),
        json!({"type": "replay", "action": "speed"}),
        json!({"type": "replay", "action": "speed", "speed": 0}),
        json!({"type": "replay", "action": "speed", "speed": 0.09}),
        json!({"type": "replay", "action": "speed", "speed": 1001}),
        json!({"type": "replay", "action": "speed", "speed": -1}),
        json!({"type": "replay", "action": "speed", "speed": "fast"}),
        json!({"type": "replay", "action": "play", "speed": 1e300}),
        json!({"type": "replay", "action": "step", "by": 0}),
        json!({"type": "replay", "action": "step", "by": 2}),
        json!({"type": "replay", "action": "rewind"}),
        json!({"type": "replay"}),
        json!({"type": "subscribe", "sessionId": id}),
        json!({"type": "unsubscribe", "sessionId": id}),
        json!({"type": "token", "sessionId": id, "nodeId": "a", "messageId": id, "text": "x"}),
    ] {
        replay.socket.send(frame.clone()).await;
        let error = replay.until(|answer| answer["type"] == "error").await;
        assert_eq!((&error["code"], &error["retryable"]), (&json!("bad_request"), &json!(false)), "{frame}");
        crate::harness::assert_no_internals(&error.to_string());
    }
    let (shown, state) = replay.control("pause", json!({})).await;
    assert_eq!((shown.len(), standing(&state)), (0, standing(&before)), "nothing has moved");
}

#[tokio::test]
async fn commands_are_taken_while_reliving() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let (mut replay, _) = Replay::paused(&server, &id, "").await;
    let command = json!({"type": "command", "id": "c1", "sessionId": id, "command": {"type": "pause"}});
    replay.socket.send(command).await;
    let ack = replay.frame().await;
    assert_eq!(ack, json!({"type": "ack", "id": "c1", "sessionId": id, "revision": 3}));
    let state = replay.until(|frame| frame["lastRevision"] == 3).await;
    assert_eq!((&state["revision"], &state["playing"]), (&json!(1), &json!(false)));
}
