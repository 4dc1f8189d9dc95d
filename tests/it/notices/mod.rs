//! Two servers on one database: whoever watches on one sees what is committed through the other.

mod bounds;
mod chunks;
mod deaf;
mod healing;
mod lists;
mod nats;
mod poolers;
mod viewers;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Database, Socket, TestServer, merge};

/// Sooner than the servers look by themselves for what they were not told of.
const PROMPTLY: Duration = Duration::from_secs(10);

/// The first is watched, the other written through.
async fn two() -> [TestServer; 2] {
    let database = Database::create().await;
    [TestServer::start_on(database.clone(), |_| {}).await, TestServer::start_on(database, |_| {}).await]
}

async fn promptly<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PROMPTLY, what).await.expect("promptly")
}

fn say(text: &str) -> Value {
    json!({"type": "addMessage", "nodeId": "n", "content": text})
}

/// A viewer's socket, and what came over it.
struct Viewer {
    socket: Socket,
    seen: Seen,
}

impl Viewer {
    /// A viewer that has been sent its first state: from there on it is owed everything.
    async fn open(server: &TestServer, path: &str) -> Self {
        let mut viewer = Self { socket: server.socket(path).await, seen: Seen::default() };
        viewer.seen.take(viewer.socket.frame().await);
        viewer
    }

    /// Everything up to the `end`.
    async fn read_to_end(mut self) -> Seen {
        while !self.seen.take(promptly(self.socket.frame()).await) {}
        self.seen
    }
}

/// What a viewer in any mode has been sent, checked frame by frame.
#[derive(Default)]
struct Seen {
    frames: Vec<Value>,
    revision: u64,
    session: Value,
    messages: Vec<String>,
}

impl Seen {
    /// Whether it is the end.
    fn take(&mut self, frame: Value) -> bool {
        let revision = frame["revision"].as_u64().expect("a revision");
        match frame["type"].as_str().expect("a type") {
            "snapshot" => {
                assert!(revision > self.revision, "{revision} after {}", self.revision);
                self.session = frame["session"].clone();
                self.revision = revision;
            }
            "delta" => {
                assert_eq!(frame["base"], self.revision);
                assert!(revision > self.revision);
                self.session = merge(self.session.take(), &frame["patch"]);
                self.revision = revision;
            }
            "event" => {
                assert_eq!(revision, self.revision + 1, "no gap and no repetition");
                self.revision = revision;
            }
            "message" => {
                assert!(revision > self.revision, "a message comes before what contains it");
                self.messages.push(frame["message"]["content"].as_str().expect("a text").to_owned());
            }
            "end" => {
                assert_eq!(revision, self.revision);
                return true;
            }
            other => panic!("unexpected: {other}"),
        }
        self.frames.push(frame);
        false
    }

    fn events(&self) -> Vec<Value> {
        let events = self.frames.iter().filter(|frame| frame["type"] == "event").cloned();
        let stripped = events.map(|mut event| {
            event.as_object_mut().expect("an object").remove("type");
            event
        });
        stripped.collect()
    }
}
