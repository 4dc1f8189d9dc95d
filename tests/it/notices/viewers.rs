//! Viewers, replays and engines in the process.

use futures_util::future::join_all;
use relive::engine::{LinkEvents as _, LocalLink};
use relive::hub::{CreateOptions, Hub, HubOptions};
use relive_session::{Created, Event, SessionId};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Seen, Viewer, promptly, say, two};
use crate::harness::{Database, TestServer, answer, context, node};
use crate::hub::submission;

const MODES: [&str; 3] = ["snapshot", "delta", "events"];

/// Everything that a run can have, a little of each, in many commits.
async fn drive(server: &TestServer, id: &str) {
    for round in 0..30 {
        server.command(id, node("n", "running")).await;
        server.command(id, json!([context("round", json!(round)), say(&format!("message {round}"))])).await;
        let output = json!({"round": round, "half": 0.5, "text": "ü\u{1}"});
        let done = json!({"type": "setNodeStatus", "nodeId": "n", "status": "completed", "output": output});
        let usage = json!({"type": "recordUsage", "nodeId": "n", "inputTokens": 3, "outputTokens": 1,
                           "costUsd": 0.001});
        server.command(id, json!([usage, done])).await;
    }
    server.command(id, json!({"type": "complete"})).await;
}

#[tokio::test]
async fn viewers_follow_what_another_server_commits_in_every_mode() {
    let [here, there] = two().await;
    // One that was made here, and one that this server has never seen.
    for made in [&here, &there] {
        let id = made.running_session().await;
        let viewers = watch(&here, &id).await;
        let (_, seen) = tokio::join!(drive(&there, &id), join_all(viewers.into_iter().map(Viewer::read_to_end)));
        let session = there.session(&id).await;
        assert_eq!(session["revision"], 153);
        let said: Vec<String> = (0..30).map(|round| format!("message {round}")).collect();
        for (seen, mode) in seen.iter().zip(MODES) {
            assert_eq!(seen.revision, 153, "{mode}");
            assert_eq!(seen.messages, said, "{mode}");
            if mode == "events" {
                assert_eq!(seen.events(), there.events(&id).await);
            } else {
                assert_eq!(seen.session, session, "{mode}");
            }
        }
        // And whoever asks.
        assert_eq!(here.session(&id).await, session);
    }
}

/// A viewer in each mode.
async fn watch(server: &TestServer, id: &str) -> Vec<Viewer> {
    let mut viewers = Vec::new();
    for mode in MODES {
        viewers.push(Viewer::open(server, &format!("/ws/sessions/{id}?mode={mode}&messages=true")).await);
    }
    viewers
}

/// Commands for one session, pipelined over one socket; returns when all are answered.
async fn pipeline(server: &TestServer, id: &str, key: &str, number: u64) {
    let mut socket = server.socket("/ws").await;
    for n in 0..number {
        let command = if n % 10 == 0 { say(&format!("{key}{n}")) } else { context(key, json!(n)) };
        socket.send(json!({"type": "command", "id": n.to_string(), "sessionId": id, "command": command})).await;
    }
    for _ in 0..number {
        let ack = socket.frame().await;
        assert_eq!(ack["type"], "ack", "{ack}");
    }
}

#[tokio::test]
async fn writers_on_both_and_viewers_on_each_see_the_same() {
    let [here, there] = two().await;
    let id = here.running_session().await;
    let mut viewers = watch(&here, &id).await;
    viewers.extend(watch(&there, &id).await);
    let writing = async {
        tokio::join!(pipeline(&here, &id, "a", 300), pipeline(&there, &id, "b", 300));
        there.command(&id, json!({"type": "complete"})).await;
    };
    let (_, seen) = tokio::join!(writing, join_all(viewers.into_iter().map(Viewer::read_to_end)));
    let (session, events) = (here.session(&id).await, there.events(&id).await);
    assert_eq!(events.len(), 603);
    let [snapshot, delta, event, others @ ..] = &seen[..] else { panic!("six viewers") };
    assert_eq!(event.events(), events);
    // Frame by frame, messages included.
    assert_eq!(event.frames, others[2].frames);
    for seen in [snapshot, delta, &others[0], &others[1]] {
        assert_eq!((seen.revision, &seen.session, seen.messages.len()), (603, &session, 60));
    }
}

#[tokio::test]
async fn commands_are_decided_on_what_the_other_server_committed() {
    let [here, there] = two().await;
    let id = here.new_session().await;
    let path = format!("/api/v1/sessions/{id}/commands");
    let mut viewer = here.socket(&format!("/ws/sessions/{id}?mode=delta")).await;
    for (theirs, ours) in [("start", "pause"), ("resume", "pause"), ("resume", "complete")] {
        let revision = there.command(&id, json!({"type": theirs})).await;
        promptly(viewer.until(|frame| frame["revision"] == revision)).await;
        let request = here.request(Method::POST, &path).json(&json!({"type": ours}));
        let (status, receipt) = answer(request.header("If-Match", format!("\"{revision}\""))).await;
        assert_eq!((status.as_u16(), &receipt["revision"]), (200, &json!(revision + 1)), "{receipt}");
        // For the other one, too.
        let mut other = there.socket(&format!("/ws/sessions/{id}")).await;
        promptly(other.until(|frame| frame["revision"] == revision + 1)).await;
    }
}

/// Whoever comes while another server writes: the state read first must not be missed to go on from.
#[tokio::test]
async fn viewers_who_come_while_another_server_writes_miss_nothing() {
    let [here, there] = two().await;
    for _ in 0..15 {
        let id = there.running_session().await;
        let path = format!("/ws/sessions/{id}?mode=delta");
        let watching = async { Viewer::open(&here, &path).await.read_to_end().await };
        let writing = async {
            for round in 0..5 {
                there.command(&id, context("round", json!(round))).await;
            }
            there.command(&id, json!({"type": "complete"})).await;
        };
        let (seen, ()) = tokio::join!(watching, writing);
        assert_eq!(seen.session, there.session(&id).await);
    }
}

/// Far more in one commit than is kept in memory for viewers.
#[tokio::test]
async fn viewers_follow_commits_too_large_to_be_kept_in_memory() {
    let [here, there] = two().await;
    let id = here.running_session().await;
    let viewers = watch(&here, &id).await;
    let many: Vec<Value> =
        (0..1_000).map(|n| if n % 2 == 0 { context("n", json!(n)) } else { say(&n.to_string()) }).collect();
    there.command(&id, json!(many)).await;
    there.command(&id, json!({"type": "complete"})).await;
    for seen in join_all(viewers.into_iter().map(Viewer::read_to_end)).await {
        assert_eq!((seen.revision, seen.messages.len()), (1_003, 500));
    }
}

#[tokio::test]
async fn viewers_of_a_session_deleted_elsewhere_are_told() {
    let [here, there] = two().await;
    let id = there.running_session().await;
    let mut single = here.socket(&format!("/ws/sessions/{id}?mode=delta")).await;
    let mut replay = here.socket(&format!("/ws/sessions/{id}/replay?speed=max")).await;
    let mut many = here.socket("/ws").await;
    many.send(json!({"type": "subscribe", "sessionId": id})).await;
    single.frame_of("snapshot").await;
    replay.until(|frame| frame["live"] == true).await;
    many.frame_of("snapshot").await;
    assert_eq!(there.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await.0, 204);
    for socket in [&mut single, &mut replay, &mut many] {
        let error = promptly(socket.frame_of("error")).await;
        assert_eq!((&error["code"], &error["sessionId"]), (&json!("not_found"), &json!(id)));
    }
    assert_eq!((single.close_code().await, replay.close_code().await), (4504, 4504));
    many.send(json!({"type": "ping"})).await;
    many.frame_of("pong").await;
}

#[tokio::test]
async fn a_replay_at_the_live_edge_goes_on_with_what_another_server_commits() {
    let [here, there] = two().await;
    for mode in MODES {
        let id = there.running_session().await;
        let path = format!("/ws/sessions/{id}/replay?speed=max&mode={mode}&messages=true");
        let mut replay = here.socket(&path).await;
        let mut seen = Seen::default();
        let mut is_live = false;
        while !is_live {
            let frame = promptly(replay.frame()).await;
            if frame["type"] == "replayState" {
                is_live = frame["live"] == true;
            } else {
                seen.take(frame);
            }
        }
        let reading = async {
            loop {
                let frame = promptly(replay.frame()).await;
                if frame["type"] != "replayState" && seen.take(frame) {
                    return;
                }
            }
        };
        tokio::join!(drive(&there, &id), reading);
        assert_eq!((seen.revision, seen.messages.len()), (153, 30), "{mode}");
        if mode == "events" {
            assert_eq!(seen.events(), there.events(&id).await);
        } else {
            assert_eq!(seen.session, there.session(&id).await, "{mode}");
        }
    }
}

#[tokio::test]
async fn an_engine_in_the_process_hears_signals_given_to_another_server() {
    let database = Database::create().await;
    let [here, there] = [(); 2].map(|()| Hub::new(database.storage(), &HubOptions::default()));
    let id = SessionId::generate();
    here.create(id, Created::default(), CreateOptions::default()).await.expect("created");
    let start = json!([{"type": "start"}, node("n", "running"), node("n", "suspended")]);
    here.execute(submission(id, start)).await.expect("suspended");
    let (_link, mut events) = LocalLink::open(here.clone(), id, CancellationToken::new()).await.expect("a link");
    for round in 0..5 {
        let signal = json!([{"type": "signal", "nodeId": "n", "payload": {"round": round}}, node("n", "running"),
                            node("n", "suspended")]);
        there.execute(submission(id, signal)).await.expect("signalled");
        let heard = loop {
            let next = promptly(events.next()).await.expect("a look").expect("an event");
            if let Event::Signalled { payload, .. } = next.event {
                break payload;
            }
        };
        assert_eq!(*heard, json!({"round": round}));
    }
    there.execute(submission(id, json!({"type": "stop"}))).await.expect("stopped");
    while promptly(events.next()).await.expect("a look").is_some() {}
}
