//! What a replay shows in each mode, and of which part of the run.

use serde_json::{Value, json};

use super::{Replay, ended_session, retime, revisions, run, time};
use crate::harness::{TestServer, context, merge};

#[tokio::test]
async fn each_mode_begins_with_the_state_or_event_at_the_beginning_and_then_says_where_it_stands() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 20).await;
    for (mode, kind) in [("snapshot", "snapshot"), ("delta", "snapshot"), ("events", "event")] {
        for (from, revision) in [("", 1), ("&from=7", 7), ("&from=0", 1), ("&from=20", 20), ("&from=9999", 20)] {
            let mut replay = Replay::open(&server, &id, &format!("paused=true&mode={mode}{from}")).await;
            let first = replay.socket.frame().await;
            assert_eq!((&first["type"], &first["revision"]), (&json!(kind), &json!(revision)), "{mode} {from}");
            let state = replay.socket.frame().await;
            let at = server.session(&format!("{id}?revision={revision}")).await["updatedAt"].clone();
            let end_at = server.session(&id).await["updatedAt"].clone();
            let expected = json!({
                "type": "replayState", "sessionId": id, "revision": revision, "at": at, "speed": 1, "playing": false,
                "live": false, "firstRevision": revision, "lastRevision": 20, "startAt": at, "endAt": end_at, "idle": [],
            });
            assert_eq!(state, expected, "{mode} {from}");
        }
    }
}

#[tokio::test]
async fn the_states_of_a_replay_are_those_of_the_run() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 700).await;
    let snapshots = Replay::open(&server, &id, "speed=max").await.up_to_end().await;
    assert_eq!(revisions(&snapshots), (1..=700).chain([700]).collect::<Vec<_>>());
    for revision in [1, 2, 256, 257, 699, 700] {
        assert_eq!(snapshots[revision - 1]["session"], server.session(&format!("{id}?revision={revision}")).await);
    }
    let deltas = Replay::open(&server, &id, "speed=max&mode=delta").await.up_to_end().await;
    let mut state = deltas[0]["session"].clone();
    for (delta, snapshot) in deltas[1..].iter().zip(&snapshots[1..]) {
        if delta["type"] == "delta" {
            assert_eq!(delta["base"], state["revision"], "a patch on what was sent before");
            state = merge(state, &delta["patch"]);
            assert_eq!(state, snapshot["session"]);
        }
    }
    let events = Replay::open(&server, &id, "speed=max&mode=events").await.up_to_end().await;
    for (event, stored) in events.iter().zip(server.events(&id).await) {
        assert_eq!(event, &merge(json!({"type": "event"}), &stored));
    }
    assert_eq!(events.len(), 701);
    for frames in [snapshots, deltas, events] {
        let end = json!({"type": "end", "sessionId": id, "status": "completed", "revision": 700});
        assert_eq!(frames.last(), Some(&end));
    }
}

#[tokio::test]
async fn a_replay_stops_where_it_is_told_to() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 10).await;
    let times: Vec<i64> = (0..10).map(|n| n * 1_000).collect();
    let server = retime(server, &id, &times).await;
    let (third, noon) = (time(2_500), "2099-01-31T12:00:00Z");
    for (query, first, last, status) in [
        ("from=3&to=7".to_owned(), 3, 7, "running"),
        ("to=1".to_owned(), 1, 1, "pending"),
        (format!("from={third}&to={}", time(5_000)), 3, 6, "running"),
        (format!("to={noon}"), 1, 10, "completed"),
        ("from=2026-01-30T00:00:00Z&to=9999".to_owned(), 1, 10, "completed"),
    ] {
        for mode in ["snapshot", "delta", "events"] {
            let mut replay = Replay::open(&server, &id, &format!("speed=max&mode={mode}&{query}")).await;
            let frames = replay.up_to_end().await;
            assert_eq!(revisions(&frames), (first..=last).chain([last]).collect::<Vec<_>>(), "{mode} {query}");
            assert_eq!(frames.last().expect("the end")["status"], status, "{mode} {query}");
            let state = replay.state().await;
            assert_eq!((&state["firstRevision"], &state["lastRevision"]), (&json!(first), &json!(last)));
            let times = (json!(time(first as i64 * 1_000 - 1_000)), json!(time(last as i64 * 1_000 - 1_000)));
            assert_eq!((state["startAt"].clone(), state["endAt"].clone()), times, "{mode} {query}");
            assert_eq!((&state["playing"], &state["revision"]), (&json!(false), &json!(last)));
        }
    }
}

#[tokio::test]
async fn a_time_between_two_revisions_is_where_the_replay_begins() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 4).await;
    let server = retime(server, &id, &[0, 1_000, 61_000, 62_000]).await;
    let (_, state) = Replay::paused(&server, &id, &format!("from={}", time(30_000))).await;
    assert_eq!(
        (&state["revision"], &state["at"], &state["startAt"]),
        (&json!(2), &json!(time(30_000)), &json!(time(1_000)))
    );
}

#[tokio::test]
async fn messages_come_before_the_state_or_event_that_contains_them() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    for command in run().into_iter().chain([json!({"type": "complete"})]) {
        server.command(&id, command).await;
    }
    let (_, stored) = server.get(&format!("/api/v1/sessions/{id}/messages")).await;
    for mode in ["snapshot", "delta", "events"] {
        let frames =
            Replay::open(&server, &id, &format!("speed=max&messages=true&mode={mode}")).await.up_to_end().await;
        let places: Vec<usize> = (0..frames.len()).filter(|place| frames[*place]["type"] == "message").collect();
        let messages: Vec<&Value> = places.iter().map(|place| &frames[*place]["message"]).collect();
        assert_eq!(json!(messages), stored["messages"], "{mode}");
        for place in places {
            assert_eq!(frames[place]["revision"], frames[place + 1]["revision"]);
            assert_eq!(frames[place - 1]["revision"].as_u64(), frames[place]["revision"].as_u64().map(|held| held - 1));
        }
        // Whoever begins behind a message is not sent it; in events mode the first event may be one.
        let frames =
            Replay::open(&server, &id, &format!("speed=max&messages=true&from=8&mode={mode}")).await.up_to_end().await;
        let count = frames.iter().filter(|frame| frame["type"] == "message").count();
        assert_eq!(count, if mode == "events" { 2 } else { 1 }, "{mode}");
    }
}

#[tokio::test]
async fn large_messages_and_events_come_all_the_same() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let text = "x".repeat(300_000);
    for _ in 0..6 {
        server.command(&id, json!({"type": "addMessage", "nodeId": "a", "content": text})).await;
        server.command(&id, json!({"type": "setProposal", "proposal": text})).await;
    }
    server.command(&id, json!({"type": "cancel"})).await;
    for mode in ["snapshot", "events"] {
        let frames =
            Replay::open(&server, &id, &format!("speed=max&messages=true&mode={mode}")).await.up_to_end().await;
        let kinds = |kind: &str| frames.iter().filter(|frame| frame["type"] == kind).count();
        assert_eq!((kinds("message"), frames.len()), (6, 6 + 15 + 1), "{mode}");
    }
}

/// Pages of a replay are read in a cheaper way once a page had only small events and no texts: what comes then must not
/// be missed, wherever in a page it is.
#[tokio::test]
async fn texts_and_large_events_after_many_small_ones_come_all_the_same() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let small = |count: usize| (0..count).map(|n| context("small", json!(n))).collect::<Vec<Value>>();
    let said = |content: &str| json!({"type": "addMessage", "nodeId": "a", "content": content});
    let logged = |text: &str| json!({"type": "addLog", "nodeId": "a", "level": "info", "text": text});
    let large = |n: usize| json!({"type": "setProposal", "proposal": format!("{n}{}", "x".repeat(200_000))});
    for commands in [
        small(150),
        vec![said("first"), logged("one")],
        small(700),
        // Named like a text, and none.
        vec![context("kind", json!("messageAdded"))],
        small(300),
        vec![said("second"), logged("two"), said("third")],
        (0..4).map(large).collect(),
        small(400),
        (4..8).map(large).collect(),
        vec![logged("three"), json!({"type": "complete"})],
    ] {
        for some in commands.chunks(500) {
            server.command(&id, json!(some)).await;
        }
    }
    let last = server.session(&id).await["revision"].as_u64().expect("a revision");
    for wanted in [&[][..], &["messages"], &["logs"], &["messages", "logs"]] {
        let query: String = wanted.iter().map(|texts| format!("&{texts}=true")).collect();
        let frames = Replay::open(&server, &id, &format!("speed=max&mode=events{query}")).await.up_to_end().await;
        let of = |kind: &str| frames.iter().filter(|frame| frame["type"] == kind).collect::<Vec<&Value>>();
        let revisions: Vec<u64> = of("event").iter().filter_map(|event| event["revision"].as_u64()).collect();
        assert_eq!(revisions, (1..=last).collect::<Vec<u64>>(), "{query}");
        let messages: Vec<&Value> = of("message").iter().map(|frame| &frame["message"]["content"]).collect();
        let logs: Vec<&Value> = of("log").iter().map(|frame| &frame["log"]["text"]).collect();
        let expected =
            |texts: &str, all: [&'static str; 3]| if wanted.contains(&texts) { all.to_vec() } else { vec![] };
        assert_eq!(json!(messages), json!(expected("messages", ["first", "second", "third"])), "{query}");
        assert_eq!(json!(logs), json!(expected("logs", ["one", "two", "three"])), "{query}");
    }
}

#[tokio::test]
async fn who_asks_for_a_slower_pace_gets_fewer_states_and_at_full_speed_all_of_them_slowly() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 40).await;
    let server = retime(server, &id, &[0; 40]).await;
    for mode in ["snapshot", "delta"] {
        // All at the same moment; the last state is never held back.
        let query = format!("mode={mode}&minIntervalMs=3600000");
        assert_eq!(revisions(&Replay::open(&server, &id, &query).await.up_to_end().await), [1, 40, 40], "{mode}");
        let begun = std::time::Instant::now();
        let query = format!("mode={mode}&minIntervalMs=2&speed=max");
        let frames = Replay::open(&server, &id, &query).await.up_to_end().await;
        assert_eq!(revisions(&frames), (1..=40).chain([40]).collect::<Vec<_>>(), "{mode}");
        assert!(begun.elapsed().as_millis() >= 38 * 2, "{mode}");
    }
}
