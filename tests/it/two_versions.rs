//! The version before and this one, on one database at the same time: the older server has started first, and goes on
//! while the newer one brings the schema up to date.
//!
//! `PREVIOUS_BINARY` names the program of the version before, as it was released (`make beside PREVIOUS=path`). Without it
//! this is passed over: what is tested always are the rules for migrations (`migrations.rs`) and a server whose schema
//! expands (`upgrades.rs`).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::harness::{DEADLINE, Database, Receiver, ServerProcess, Socket, eventually, left_out};

const ROUNDS: u64 = 40;
/// Without notices between the versions, every round would wait for the comparison that follows every 20 s.
const PROMPTLY: Duration = Duration::from_secs(30);

/// A server of one of the two versions.
struct Side {
    server: ServerProcess,
    http: Client,
}

impl Side {
    async fn start(program: Option<&OsStr>, database: &Database) -> Self {
        let url = database.url();
        let settings =
            [("DATABASE_URL", url.as_str()), ("RELIVE_EMBEDDING_DIM", "8"), ("RELIVE_WEBHOOK_ALLOW_PRIVATE", "true")];
        let server = match program {
            Some(program) => ServerProcess::start_program(program, &settings).await,
            None => ServerProcess::start(&settings).await,
        };
        Self { server, http: Client::new() }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let url = format!("http://{}/api/v1/{path}", self.server.address);
        let request = self.http.request(method, url).timeout(DEADLINE);
        let answer = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = answer.send().await.expect("an answer");
        let status = answer.status();
        (status, serde_json::from_str(&answer.text().await.expect("a text")).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(Method::POST, path, Some(&body)).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    async fn create(&self) -> String {
        let id = self.post("sessions", json!({"tags": ["both"]})).await["id"].as_str().expect("an id").to_owned();
        self.command(&id, json!({"type": "start"})).await;
        id
    }

    async fn command(&self, session: &str, command: Value) -> u64 {
        let receipt = self.post(&format!("sessions/{session}/commands"), command).await;
        receipt["revision"].as_u64().expect("a revision")
    }

    async fn watch(&self, session: &str) -> Socket {
        Socket::open(self.server.address, &format!("/ws/sessions/{session}?mode=events&messages=true")).await
    }
}

fn work(round: u64) -> Value {
    json!([
        {"type": "setNodeStatus", "nodeId": "n", "status": "running", "progress": round as f64 / 10_000.0},
        {"type": "addMessage", "nodeId": "n", "content": format!("message {round}")},
        {"type": "addLog", "nodeId": "n", "level": "info", "text": format!("line {round}")},
        {"type": "recordUsage", "nodeId": "n", "model": "m", "inputTokens": 1, "outputTokens": 1},
        {"type": "setContext", "key": "round", "value": round},
    ])
}

/// Commands that are sent one after the other until it is stopped; returns the last revision.
async fn drive(side: &Side, session: &str, stop: &CancellationToken) -> u64 {
    let mut revision = 0;
    for round in 1_000.. {
        revision = side.command(session, work(round)).await;
        if stop.is_cancelled() {
            break;
        }
    }
    revision
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_before_goes_on_beside_this_one() {
    let Some(previous) = std::env::var_os("PREVIOUS_BINARY") else {
        left_out("the version before beside this one", "PREVIOUS_BINARY does not name its program");
        return;
    };
    let database = Database::empty().await;
    let old = Side::start(Some(&previous), &database).await;
    let receiver = Receiver::start().await;
    let types = json!(["session.started", "session.completed"]);
    old.post("webhooks", json!({"url": receiver.url(), "types": types})).await;
    let first = old.create().await;
    let mut by_old = old.watch(&first).await;

    // The newer one migrates while the older one writes.
    let stop = CancellationToken::new();
    let starting = async {
        let new = Side::start(None, &database).await;
        stop.cancel();
        new
    };
    let (new, driven) = tokio::join!(starting, drive(&old, &first, &stop));
    by_old.until(|frame| frame["revision"] == driven).await;

    // Both write to it, and viewers of both see all of it.
    let mut by_new = new.watch(&first).await;
    by_new.until(|frame| frame["revision"] == driven).await;
    let began = Instant::now();
    for round in 0..ROUNDS {
        let side = if round % 2 == 0 { &old } else { &new };
        let revision = side.command(&first, work(round)).await;
        for viewer in [&mut by_old, &mut by_new] {
            let seen = viewer.until(|frame| frame["type"] == "event" && frame["revision"] == revision);
            timeout(DEADLINE, seen).await.expect("seen in time");
        }
    }
    assert!(began.elapsed() < PROMPTLY, "notices do not reach the other version: {:.1?}", began.elapsed());

    // What either has made is the same by both.
    let second = new.create().await;
    for round in 0..3 {
        old.command(&second, work(round)).await;
        new.command(&second, work(round + 10)).await;
    }
    for session in [&first, &second] {
        for below in ["events?limit=1000", "messages", "logs", "usage", "nodes/n"] {
            let path = format!("sessions/{session}/{below}");
            let (by_old, by_new) = (old.get(&path).await, new.get(&path).await);
            // A later version may say more.
            for (member, value) in by_old.as_object().expect("an object") {
                assert_eq!(value, &by_new[member], "{path}: {member}");
            }
        }
        let state = new.get(&format!("sessions/{session}")).await;
        assert_eq!(old.get(&format!("sessions/{session}")).await["revision"], state["revision"]);
    }

    // A deletion by one is told to viewers of the other.
    for (makes, deletes) in [(&old, &new), (&new, &old)] {
        let session = makes.create().await;
        let mut viewer = makes.watch(&session).await;
        viewer.frame().await;
        let (status, answer) = deletes.call(Method::DELETE, &format!("sessions/{session}"), None).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
        let told = viewer.until(|frame| frame["type"] == "error");
        assert_eq!(timeout(DEADLINE, told).await.expect("told in time")["code"], "not_found");
    }

    // The older one leaves; the newer one goes on, and webhooks were told of every event once or more, by one id each.
    assert_eq!(old.server.terminate().await, Some(0));
    for session in [&first, &second] {
        let node = json!({"type": "setNodeStatus", "nodeId": "n", "status": "completed"});
        new.command(session, json!([node, {"type": "complete"}])).await;
    }
    timeout(DEADLINE, by_new.until(|frame| frame["type"] == "end")).await.expect("the end in time");
    let expected: BTreeSet<(String, String)> = [&first, &second]
        .into_iter()
        .flat_map(|session| ["session.started", "session.completed"].map(|kind| (session.clone(), kind.to_owned())))
        .collect();
    let told = || -> BTreeSet<(String, String)> {
        receiver.received().iter().map(|one| (one.session(), one.kind())).collect()
    };
    // Also of those that were deleted, unless that came first.
    eventually("webhooks are told of all", async || told().is_superset(&expected)).await;
    let ids: BTreeSet<String> = receiver.received().into_iter().map(|one| one.id).collect();
    assert_eq!(ids.len(), told().len());
    assert_eq!(new.server.terminate().await, Some(0));
}
