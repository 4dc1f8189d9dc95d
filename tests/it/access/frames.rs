//! Every frame of a socket by every kind of caller.

use std::collections::BTreeSet;

use relive_protocol::{ClientFrame, FromClient as _};
use relive_session::Command;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::support::{ROOT, get, id_of, key, make, server, socket, token};
use crate::harness::TestServer;

/// Which callers may have a frame carried out: roles, and scopes of the session.
struct Expected {
    frame: Value,
    allowed: &'static [&'static str],
}

const READERS: &[&str] = &["viewer", "reviewer", "operator", "engine", "admin", "root", "read"];
const EVERYBODY: &[&str] =
    &["viewer", "reviewer", "operator", "engine", "admin", "root", "read", "review", "control", "write"];

/// Who may send a command. A kind of command that is not here does not compile.
fn who_may(command: &Command) -> &'static [&'static str] {
    match command {
        Command::Start | Command::Pause | Command::Resume | Command::Stop { .. } | Command::Cancel { .. } => {
            &["operator", "engine", "admin", "root", "control", "write"]
        }
        Command::Signal { .. } => &["reviewer", "operator", "engine", "admin", "root", "review", "write"],
        Command::SetLabels(_) => &["operator", "engine", "admin", "root", "write"],
        Command::Hold
        | Command::RenewLease { .. }
        | Command::Stall { .. }
        | Command::LeaveParent
        | Command::AddNodes { .. }
        | Command::Complete { .. }
        | Command::Fail { .. }
        | Command::SetNodeStatus { .. }
        | Command::RecordUsage { .. }
        | Command::SetContext { .. }
        | Command::SetProposal { .. }
        | Command::AddMessage { .. }
        | Command::AddLog { .. }
        | Command::AddMemory { .. } => &["engine", "admin", "root", "write"],
    }
}

/// A command of each kind; those that end the run come last.
fn commands() -> Vec<Value> {
    vec![
        json!({"type": "start"}),
        json!({"type": "pause"}),
        json!({"type": "resume"}),
        json!({"type": "setNodeStatus", "nodeId": "n", "status": "running"}),
        json!({"type": "recordUsage", "nodeId": "n", "inputTokens": 1, "outputTokens": 1}),
        json!({"type": "setContext", "key": "k", "value": 1}),
        json!({"type": "setProposal", "proposal": 1}),
        json!({"type": "addNodes", "nodes": {"x": {"id": "x", "type": "t", "name": "X"}}}),
        json!({"type": "setLabels", "name": "x"}),
        json!({"type": "signal", "nodeId": "n", "payload": 1}),
        json!({"type": "addMessage", "nodeId": "n", "content": "c"}),
        json!({"type": "addLog", "nodeId": "n", "level": "info", "text": "t"}),
        json!({"type": "addMemory", "content": "c"}),
        json!({"type": "complete"}),
        json!({"type": "fail", "error": "e"}),
        json!({"type": "stop"}),
        json!({"type": "cancel"}),
    ]
}

/// The kinds of a tagged type, as its own error names them.
fn kinds<T: DeserializeOwned + std::fmt::Debug>() -> BTreeSet<String> {
    let error = serde_json::from_value::<T>(json!({"type": "?"})).expect_err("no kind").to_string();
    let (_, expected) = error.split_once("expected").expect("what is expected");
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn kinds_of(samples: &[Value]) -> BTreeSet<String> {
    samples.iter().map(|sample| sample["type"].as_str().expect("a kind").to_owned()).collect()
}

/// The expectations of a frame. A kind of frame that is not here does not compile.
fn expected(session: &str, frame: &ClientFrame) -> Vec<Expected> {
    match frame {
        ClientFrame::Subscribe(_) => {
            vec![Expected { frame: json!({"type": "subscribe", "sessionId": session}), allowed: READERS }]
        }
        ClientFrame::Command(_) => {
            let frame = |command| {
                let allowed = who_may(&serde_json::from_value(Value::clone(&command)).expect("a command"));
                let frame = json!({"type": "command", "id": "c", "sessionId": session, "command": command});
                Expected { frame, allowed }
            };
            commands().into_iter().map(frame).collect()
        }
        // Not answered; what is shown of it is tested below.
        ClientFrame::Token { .. } => Vec::new(),
        ClientFrame::Unsubscribe { .. } => {
            vec![Expected { frame: json!({"type": "unsubscribe", "sessionId": session}), allowed: EVERYBODY }]
        }
        // Each of the others is followed by one, and answered.
        ClientFrame::Ping => Vec::new(),
        // On sockets of their own, which the table of operations has.
        ClientFrame::Replay { .. } | ClientFrame::Auth { .. } => Vec::new(),
    }
}

/// A frame of each kind.
fn frames(session: &str) -> Vec<Value> {
    vec![
        json!({"type": "subscribe", "sessionId": session}),
        json!({"type": "unsubscribe", "sessionId": session}),
        json!({"type": "command", "id": "c", "sessionId": session, "command": {"type": "start"}}),
        json!({"type": "token", "sessionId": session, "nodeId": "n", "messageId": "m", "text": "t"}),
        json!({"type": "replay", "action": "play"}),
        json!({"type": "auth", "token": "t"}),
        json!({"type": "ping"}),
    ]
}

fn expectations(session: &str) -> Vec<Expected> {
    let read = |frame: &Value| ClientFrame::read(&frame.to_string()).expect("a frame");
    frames(session).iter().flat_map(|frame| expected(session, &read(frame))).collect()
}

#[test]
fn no_frame_and_no_command_is_forgotten() {
    assert_eq!(kinds_of(&commands()), kinds::<Command>());
    assert_eq!(kinds_of(&frames(&uuid::Uuid::nil().to_string())), kinds::<ClientFrame>());
}

async fn callers(server: &TestServer, admin: &str, session: &str) -> Vec<(String, String)> {
    let mut callers = vec![("root".to_owned(), ROOT.to_owned())];
    for role in ["viewer", "reviewer", "operator", "engine", "admin"] {
        callers.push((role.to_owned(), key(server, role, "default").await));
    }
    for scope in ["read", "review", "control", "write"] {
        let given = token(server, admin, &[&format!("{scope}:sessions:{session}")]).await;
        callers.push((scope.to_owned(), given));
    }
    callers
}

#[tokio::test]
async fn every_frame_is_carried_out_for_those_who_may_and_refused_to_others() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let session = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    for (name, credential) in callers(&server, &admin, &session).await {
        let mut socket = socket(&server, &credential, "/ws").await;
        for expected in expectations(&session) {
            socket.send(expected.frame.clone()).await;
            socket.send(json!({"type": "ping"})).await;
            // Whether it is legal in this state is another question.
            let mut refused = false;
            socket
                .until(|frame| {
                    refused |= frame["code"] == "forbidden";
                    frame["type"] == "pong"
                })
                .await;
            let allowed = expected.allowed.contains(&&*name);
            assert_eq!(!refused, allowed, "{name}: {}", expected.frame);
        }
    }
}

#[tokio::test]
async fn frames_about_a_session_of_another_project_are_answered_like_those_about_none() {
    let server = server().await;
    make(&server, ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let (admin, other) = (key(&server, "admin", "default").await, key(&server, "admin", "other").await);
    let session = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    let mut socket = socket(&server, &other, "/ws").await;
    let (about, none) = (expectations(&session), expectations(&uuid::Uuid::now_v7().to_string()));
    for (about, none) in about.into_iter().zip(none) {
        let mut answers = Vec::new();
        for Expected { frame, .. } in [about, none] {
            socket.send(frame.clone()).await;
            socket.send(json!({"type": "ping"})).await;
            let mut answer = json!(null);
            socket
                .until(|frame| {
                    if frame["type"] != "pong" {
                        answer = json!([frame["type"], frame["code"], frame["message"], frame["retryable"]]);
                    }
                    frame["type"] == "pong"
                })
                .await;
            if frame["type"] != "unsubscribe" {
                assert_eq!(answer[1], "not_found", "{frame}: {answer}");
            }
            answers.push(answer);
        }
        assert_eq!(answers[0], answers[1], "the answer tells that it exists");
    }
    let (_, found) = get(&server, &admin, &format!("/api/v1/sessions/{session}")).await;
    assert_eq!(found["revision"], 1);
}

#[tokio::test]
async fn chunks_are_shown_for_engines_alone() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let session = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    let path = format!("/api/v1/sessions/{session}/control");
    super::support::post(&server, &admin, &path, json!({"action": "start"})).await;
    let mut viewer = socket(&server, &admin, &format!("/ws/sessions/{session}?messages=true")).await;
    viewer.frame_of("snapshot").await;
    for (name, credential) in callers(&server, &admin, &session).await {
        let mut socket = socket(&server, &credential, "/ws").await;
        let chunk = json!({"type": "token", "sessionId": session, "nodeId": "n", "messageId": name, "text": "t"});
        socket.send(chunk).await;
        socket.settle().await;
    }
    let mut writer = socket(&server, &admin, "/ws").await;
    let last = json!({"type": "token", "sessionId": session, "nodeId": "n", "messageId": "last", "text": "t"});
    writer.send(last).await;
    let mut shown = Vec::new();
    viewer
        .until(|frame| {
            if frame["type"] == "token" {
                shown.push(frame["messageId"].as_str().expect("an id").to_owned());
            }
            frame["messageId"] == "last"
        })
        .await;
    shown.sort();
    assert_eq!(shown, ["admin", "engine", "last", "root", "write"]);
}
