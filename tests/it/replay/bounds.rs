//! What a replay refuses, and what ends it.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::{Replay, ended_session, revisions};
use crate::harness::{Socket, TestServer, answer, assert_no_internals};

#[tokio::test]
async fn a_replay_of_no_session_says_so_and_is_not_to_come_back() {
    let server = TestServer::start().await;
    for id in [Uuid::now_v7().to_string(), "no-uuid".to_owned(), "%00".to_owned()] {
        let mut socket = server.socket(&format!("/ws/sessions/{id}/replay")).await;
        let error = socket.frame().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("not_found")), "{id}");
        assert_eq!(socket.close_code().await, 4504, "{id}");
    }
}

#[tokio::test]
async fn parameters_out_of_bounds_are_refused() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 5).await;
    for query in [
        "speed=0",
        "speed=0.09",
        "speed=1001",
        "speed=-1",
        "speed=NaN",
        "speed=inf",
        "speed=Max",
        "speed=",
        "from=-1",
        "from=noon",
        "from=",
        "to=1.5",
        "to=2026-01-31",
        "from=3&to=2",
        "from=9999-12-31T00:00:00Z&to=1970-01-01T00:00:00Z",
        "skipIdleMs=-1",
        "skipIdleMs=x",
        "mode=video",
        "messages=maybe",
        "minIntervalMs=1.5",
        "paused=1",
    ] {
        let mut socket = server.socket(&format!("/ws/sessions/{id}/replay?{query}")).await;
        let error = socket.frame().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("bad_request")), "{query}");
        assert_no_internals(&error.to_string());
        assert_eq!(socket.close_code().await, 4501, "{query}");
    }
    for query in [
        "skipIdleMs=18446744073709551615",
        "minIntervalMs=18446744073709551615&from=5",
        "from=18446744073709551615",
        "to=18446744073709551615&skipIdleMs=0",
        "speed=1e2",
        "speed=1000.0&to=%2B9999-12-31T00:00:00Z".split_once("&to").map_or("", |(speed, _)| speed),
    ] {
        let (mut replay, _) = Replay::paused(&server, &id, query).await;
        replay.control("seek", json!({"revision": 5})).await;
    }
    let (status, problem) = answer(server.request(Method::GET, &format!("/ws/sessions/{id}/replay"))).await;
    assert_eq!((status.as_u16(), &problem["code"]), (426, &json!("bad_request")));
}

#[tokio::test]
async fn deleting_the_session_ends_its_replays() {
    let server = TestServer::start().await;
    for running in [false, true] {
        let id = if running { server.running_session().await } else { ended_session(&server, 300).await };
        let (mut paused, _) = Replay::paused(&server, &id, "").await;
        let mut slow = Replay::open(&server, &id, "speed=0.1&mode=events").await;
        slow.state().await;
        let mut live = Replay::open(&server, &id, "speed=max&mode=delta").await;
        live.until(|frame| frame["live"] == running && frame["revision"] == frame["lastRevision"]).await;
        let (status, _) = server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await;
        assert_eq!(status, 204);
        for replay in [&mut paused, &mut slow, &mut live] {
            let error = replay.until(|frame| frame["type"] == "error").await;
            assert_eq!((&error["code"], &error["sessionId"]), (&json!("not_found"), &json!(id)));
            assert_eq!(replay.socket.close_code().await, 4504);
        }
    }
}

#[tokio::test]
async fn a_server_that_stops_tells_its_replays() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 10).await;
    let (mut paused, _) = Replay::paused(&server, &id, "").await;
    let mut slow = Replay::open(&server, &id, "speed=0.1").await;
    slow.state().await;
    server.stop().await;
    assert_eq!((paused.socket.close_code().await, slow.socket.close_code().await), (1012, 1012));
}

#[tokio::test]
async fn a_viewer_that_stops_reading_gets_everything_at_full_speed_when_it_reads_again() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let long = "x".repeat(4_000);
    let changes: Vec<_> =
        (0..120).map(|n| json!({"type": "setContext", "key": format!("key{}", n % 9), "value": [n, long]})).collect();
    let last = server.command(&id, json!(changes)).await;
    server.command(&id, json!({"type": "complete"})).await;
    for mode in ["snapshot", "delta", "events"] {
        let path = format!("/ws/sessions/{id}/replay?speed=max&mode={mode}");
        let socket = Socket::open_narrow(server.address(), &path).await;
        let mut stuck = Replay { socket };
        // Another one's whole replay: meanwhile the first has long been stuck.
        let whole = Replay::open(&server, &id, &format!("speed=max&mode={mode}")).await.up_to_end().await;
        assert_eq!(revisions(&whole), (1..=last + 1).chain([last + 1]).collect::<Vec<_>>());
        assert_eq!(stuck.up_to_end().await, whole, "{mode}: nothing is left out for who is slow");
    }
}

#[tokio::test]
async fn a_viewer_that_is_too_slow_for_the_pace_is_shown_newer_states_and_every_event() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let long = "x".repeat(20_000);
    let changes: Vec<_> =
        (0..200).map(|n| json!({"type": "setContext", "key": format!("key{}", n % 9), "value": [n, long]})).collect();
    for some in changes.chunks(40) {
        server.command(&id, json!(some)).await;
    }
    let last = server.command(&id, json!({"type": "complete"})).await;
    for mode in ["snapshot", "events"] {
        let path = format!("/ws/sessions/{id}/replay?speed=1000&skipIdleMs=0&mode={mode}");
        let mut stuck = Replay { socket: Socket::open_narrow(server.address(), &path).await };
        Replay::open(&server, &id, "speed=max&mode=events").await.up_to_end().await;
        let seen = revisions(&stuck.up_to_end().await);
        assert_eq!((seen[0], seen[seen.len() - 2]), (1, last), "{mode}");
        if mode == "events" {
            assert_eq!(seen.len() as u64, last + 1);
        } else {
            assert!(seen.len() < 40, "{} states of 180 KB", seen.len());
        }
    }
}

#[tokio::test]
async fn replays_that_wait_hold_no_database_connection() {
    // Two for writing, one for everything else.
    let server = TestServer::start_with(|config| config.database.database_connections = 3).await;
    let id = ended_session(&server, 300).await;
    let mut replays = Vec::new();
    for query in ["paused=true", "speed=0.1&mode=events", "speed=0.1&mode=delta&from=9"].repeat(4) {
        let mut replay = Replay::open(&server, &id, query).await;
        replay.state().await;
        replays.push(replay);
    }
    for replay in &mut replays {
        let (shown, _) = replay.control("seek", json!({"revision": 150})).await;
        assert!(shown.iter().any(|frame| frame["type"] == "snapshot" && frame["revision"] == 150));
    }
    assert_eq!(server.session(&format!("{id}?revision=7")).await["revision"], 7);
}

#[tokio::test]
async fn seeks_of_a_client_that_reads_no_answer_do_not_pile_up() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let long = "x".repeat(200_000);
    server.command(&id, json!([{"type": "setContext", "key": "k", "value": long}, {"type": "complete"}])).await;
    let mut stuck = Socket::open_narrow(server.address(), &format!("/ws/sessions/{id}/replay?paused=true")).await;
    // The server stops reading at some point, so sending comes to a stop too.
    let mut sent = 0;
    loop {
        let seek = stuck.send(json!({"type": "replay", "action": "seek", "revision": 3 + sent % 2}));
        if tokio::time::timeout(Duration::from_millis(500), seek).await.is_err() {
            break;
        }
        sent += 1;
        assert!(sent < 200_000, "that many answers of 200 KB");
    }
    assert!(stuck.stream.next().await.is_some(), "and it is there when the client reads again");
    let mut other = Replay::paused(&server, &id, "").await.0;
    other.control("seek", json!({"revision": 3})).await;
}
