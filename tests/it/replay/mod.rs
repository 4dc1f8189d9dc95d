//! Watching a stored run again: by the frames of the live one, at any pace, from any place.

mod bounds;
mod controls;
mod edge;
mod modes;
mod pace;
mod proof;
mod random;

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::harness::{DEADLINE, Socket, TestServer, context};

/// A client of one replay.
pub struct Replay {
    pub socket: Socket,
}

impl Replay {
    pub async fn open(server: &TestServer, id: &str, query: &str) -> Self {
        Self { socket: server.socket(&format!("/ws/sessions/{id}/replay?{query}")).await }
    }

    /// As [`Replay::open`] with `paused=true`; passes over what comes first and returns the state.
    pub async fn paused(server: &TestServer, id: &str, query: &str) -> (Self, Value) {
        let mut replay = Self::open(server, id, &format!("paused=true&{query}")).await;
        let state = replay.state().await;
        (replay, state)
    }

    /// The first frame that `wanted` accepts; others are passed over. A deadline for all of them: a
    /// replay that plays says something all the time.
    pub async fn until(&mut self, wanted: impl FnMut(&Value) -> bool) -> Value {
        tokio::time::timeout(DEADLINE, self.socket.until(wanted)).await.expect("the frame in time")
    }

    /// The next `replayState`; other frames are passed over.
    pub async fn state(&mut self) -> Value {
        self.until(|frame| frame["type"] == "replayState").await
    }

    /// The next frame that is not a `replayState`.
    pub async fn frame(&mut self) -> Value {
        self.until(|frame| frame["type"] != "replayState").await
    }

    pub async fn send(&mut self, action: &str, more: Value) {
        self.socket.send(crate::harness::merge(json!({"type": "replay", "action": action}), &more)).await;
    }

    /// Sends a control to a replay that is paused, and returns its answer: what was shown for it,
    /// and the state.
    pub async fn control(&mut self, action: &str, more: Value) -> (Vec<Value>, Value) {
        self.send(action, more).await;
        // What was already on its way before the answer tells of an earlier moment; a ping after the
        // control makes the last state before its pong the answer.
        self.socket.send(json!({"type": "ping"})).await;
        let (mut shown, mut state) = (Vec::new(), Value::Null);
        loop {
            let frame = self.socket.frame().await;
            match frame["type"].as_str() {
                Some("pong") => return (shown, state),
                Some("replayState") => state = frame,
                _ => shown.push(frame),
            }
        }
    }

    /// Everything up to the `end` frame, without the states of the replay.
    pub async fn up_to_end(&mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await;
            let is_end = frame["type"] == "end";
            frames.push(frame);
            if is_end {
                return frames;
            }
        }
    }
}

/// A run with every kind of command, except for its end.
pub fn run() -> Vec<Value> {
    vec![
        json!({"type": "start"}),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "running", "name": "A", "progress": 0.5}),
        json!({"type": "recordUsage", "nodeId": "a", "agentId": "x", "model": "m", "inputTokens": 1, "outputTokens": 2, "costUsd": 0.1}),
        context("score_history", json!([{"round": 1, "score": 0.5}])),
        json!({"type": "setProposal", "proposal": {"title": "Bees", "n": 1.0}}),
        json!({"type": "signal", "nodeId": "a", "payload": {"go": true}}),
        json!({"type": "addMessage", "nodeId": "a", "content": "Once upon a time", "role": "agent", "tokenCount": 4}),
        json!({"type": "addMemory", "content": "Bees like flowers", "metadata": {"sure": true}}),
        json!({"type": "pause"}),
        json!({"type": "resume"}),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "suspended"}),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "completed", "output": [1, null, 2.50]}),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "running"}),
        json!({"type": "addMessage", "nodeId": "b", "content": "Grüße 🐝", "isThinking": true}),
        context("gone", json!({"deep": null})),
        context("gone", Value::Null),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "failed", "error": "lost"}),
    ]
}

/// A session with `count` events that has ended: the last is its completion.
pub async fn ended_session(server: &TestServer, count: usize) -> String {
    let id = server.running_session().await;
    let changes: Vec<Value> = (0..count - 3).map(|n| context(&format!("key{}", n % 7), json!(n))).collect();
    for some in changes.chunks(500) {
        server.command(&id, json!(some)).await;
    }
    server.command(&id, json!({"type": "complete"})).await;
    id
}

/// A time so many milliseconds after a fixed one.
pub fn time(millis: i64) -> String {
    let start: DateTime<Utc> = "2026-01-31T08:00:00Z".parse().expect("a time");
    (start + Duration::milliseconds(millis)).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Sets the times at which a session's events were recorded, in milliseconds after [`time`]`(0)`,
/// behind the server's back; returns a server that has never seen other ones.
pub async fn retime(server: TestServer, id: &str, millis: &[i64]) -> TestServer {
    let database = server.stop().await;
    let storage = database.storage();
    for (index, millis) in millis.iter().enumerate() {
        let changed =
            sqlx::query("UPDATE session_events SET at = $1::timestamptz WHERE session_id = $2::uuid AND revision = $3")
                .bind(time(*millis).parse::<DateTime<Utc>>().expect("a time"))
                .bind(id.parse::<uuid::Uuid>().expect("an id"))
                .bind(index as i64 + 1)
                .execute(storage.pool())
                .await
                .expect("set");
        assert_eq!(changed.rows_affected(), 1);
    }
    // A session is known by when it was created, which its row says as well as its first event.
    sqlx::query("UPDATE sessions SET created_at = $1::timestamptz WHERE id = $2::uuid")
        .bind(time(millis[0]).parse::<DateTime<Utc>>().expect("a time"))
        .bind(id.parse::<uuid::Uuid>().expect("an id"))
        .execute(storage.pool())
        .await
        .expect("set");
    // A cache of states with the old times.
    sqlx::query("DELETE FROM session_keyframes").execute(storage.pool()).await.expect("deleted");
    storage.close().await;
    TestServer::start_on(database, |_| {}).await
}

pub fn revisions(frames: &[Value]) -> Vec<u64> {
    frames.iter().map(|frame| frame["revision"].as_u64().expect("a revision")).collect()
}
