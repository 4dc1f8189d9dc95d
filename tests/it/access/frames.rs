//! Every frame of a socket by every kind of caller.

use relive_protocol::{ClientFrame, FromClient as _};
use serde_json::{Value, json};

use super::support::{ROOT, id_of, key, make, server, socket, token};
use crate::harness::TestServer;

/// Which callers may have a frame carried out: roles, and scopes of the session.
struct Expected {
    frame: Value,
    allowed: &'static [&'static str],
}

const READERS: &[&str] = &["viewer", "reviewer", "operator", "engine", "admin", "root", "read"];
const EVERYBODY: &[&str] =
    &["viewer", "reviewer", "operator", "engine", "admin", "root", "read", "review", "control", "write"];

/// The expectations of a frame. A kind of frame that is not here does not compile.
fn expected(session: &str, frame: &ClientFrame) -> Vec<Expected> {
    let command = |command: Value| json!({"type": "command", "id": "c", "sessionId": session, "command": command});
    match frame {
        ClientFrame::Subscribe(_) => {
            vec![Expected { frame: json!({"type": "subscribe", "sessionId": session}), allowed: READERS }]
        }
        ClientFrame::Command(_) => vec![
            Expected {
                frame: command(json!({"type": "setContext", "key": "k", "value": 1})),
                allowed: &["engine", "admin", "root", "write"],
            },
            Expected {
                frame: command(json!({"type": "pause"})),
                allowed: &["operator", "engine", "admin", "root", "control", "write"],
            },
            Expected {
                frame: command(json!({"type": "signal", "nodeId": "n", "payload": 1})),
                allowed: &["reviewer", "operator", "engine", "admin", "root", "review", "write"],
            },
        ],
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

fn frames(session: &str) -> Vec<ClientFrame> {
    let read = |frame: Value| ClientFrame::read(&frame.to_string()).expect("a frame");
    vec![
        read(json!({"type": "subscribe", "sessionId": session})),
        read(json!({"type": "unsubscribe", "sessionId": session})),
        read(json!({"type": "command", "id": "c", "sessionId": session, "command": {"type": "start"}})),
        read(json!({"type": "token", "sessionId": session, "nodeId": "n", "messageId": "m", "text": "t"})),
        read(json!({"type": "replay", "action": "play"})),
        read(json!({"type": "auth", "token": "t"})),
        read(json!({"type": "ping"})),
    ]
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
        for expected in frames(&session).iter().flat_map(|frame| expected(&session, frame)) {
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
