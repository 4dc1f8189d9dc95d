//! A viewer that stops reading costs nobody else anything.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{DEADLINE, Database, ServerProcess, Socket, TlsFiles};

const NODES: usize = 2_000;
const VIEWERS: usize = 50;
const CHANGES: u64 = 150;

/// A server, and the files of its certificate if it speaks TLS.
struct Setting {
    server: ServerProcess,
    tls: Option<TlsFiles>,
    http: reqwest::Client,
    // Kept until the server has ended.
    _database: Database,
}

impl Setting {
    async fn start(tls: Option<TlsFiles>) -> Self {
        let database = Database::create().await;
        let (url, files) = (database.url(), tls.as_ref().map(|tls| (path(tls.certificate()), path(tls.key()))));
        let mut settings = vec![("DATABASE_URL", url.as_str()), ("RELIVE_EMBEDDING_DIM", "8")];
        if let Some((certificate, key)) = &files {
            settings.extend([("RELIVE_TLS_CERT", certificate.as_str()), ("RELIVE_TLS_KEY", key.as_str())]);
        }
        let server = ServerProcess::start(&settings).await;
        let http = tls.as_ref().map_or_else(reqwest::Client::new, TlsFiles::http);
        Self { server, tls, http, _database: database }
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.tls.is_some() { "https" } else { "http" }, self.server.address)
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.http.post(self.url(path)).json(&body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("JSON")
    }

    async fn socket(&self, path: &str) -> Socket {
        match &self.tls {
            Some(tls) => Socket::open_tls(self.server.address, path, tls.client()).await,
            None => Socket::open(self.server.address, path).await,
        }
    }

    /// A WebSocket whose kernel takes only a few kilobytes for a client that does not read.
    async fn narrow(&self, path: &str) -> Socket {
        match &self.tls {
            Some(tls) => Socket::open_narrow_tls(self.server.address, path, tls.client()).await,
            None => Socket::open_narrow(self.server.address, path).await,
        }
    }
}

fn path(path: std::path::PathBuf) -> String {
    path.to_str().expect("a path").to_owned()
}

/// A running session with a large graph.
async fn large_session(setting: &Setting) -> String {
    let nodes: serde_json::Map<String, Value> = (0..NODES)
        .map(|number| {
            let id = format!("node{number:04}");
            let next: Vec<String> =
                (number + 1 < NODES).then(|| format!("node{:04}", number + 1)).into_iter().collect();
            (id.clone(), json!({"id": id, "type": "step", "name": format!("Step {number}"), "nextIds": next}))
        })
        .collect();
    let graph = json!({"name": "large", "startNodeId": "node0000", "nodes": nodes});
    let created = setting.post("/api/v1/sessions", json!({"graph": graph})).await;
    let id = created["id"].as_str().expect("an id").to_owned();
    setting.post(&format!("/api/v1/sessions/{id}/control"), json!({"action": "start"})).await;
    id
}

/// Carries out commands one after the other over one socket; the revision they led to.
async fn change(setting: &Setting, id: &str, commands: impl Iterator<Item = Value>) -> u64 {
    let mut driver = setting.socket("/ws").await;
    let mut revision = 0;
    for command in commands {
        driver.send(json!({"type": "command", "id": "c", "sessionId": id, "command": command})).await;
        let ack = driver.frame().await;
        assert_eq!(ack["type"], "ack", "{ack}");
        revision = ack["revision"].as_u64().expect("a revision");
    }
    revision
}

fn progress(number: u64) -> Value {
    json!({"type": "setNodeStatus", "nodeId": format!("node{:04}", number % 10), "status": "running",
           "progress": (number % 1000) as f64 / 1000.0})
}

/// Reads revisions until `last` is there; they must grow. How many frames that took.
async fn read_up_to(socket: &mut Socket, last: u64) -> usize {
    let (mut seen, mut frames) = (0, 0);
    while seen < last {
        let revision = revision_of(socket).await;
        assert!(revision > seen, "{revision} after {seen}");
        seen = revision;
        frames += 1;
    }
    frames
}

/// The next frame's revision, without the cost of parsing a large state in a debug build.
async fn revision_of(socket: &mut Socket) -> u64 {
    loop {
        let next = tokio::time::timeout(DEADLINE, socket.stream.next()).await;
        let message = next.expect("a frame in time").expect("an open socket").expect("a sound frame");
        let Message::Text(text) = message else { continue };
        let start = text.find("\"revision\":").expect("a revision") + "\"revision\":".len();
        let digits = text[start..].split(|letter: char| !letter.is_ascii_digit()).next();
        return digits.expect("digits").parse().expect("a number");
    }
}

/// Kilobytes the process holds, where the system tells.
fn resident(server: &ServerProcess) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

async fn the_others_go_on(setting: Setting) {
    let id = large_session(&setting).await;
    let path = format!("/ws/sessions/{id}");
    let mut stuck = setting.narrow(&path).await;
    let mut others = Vec::new();
    for _ in 0..VIEWERS {
        let mut socket = setting.socket(&format!("{path}?mode=delta")).await;
        assert_eq!(revision_of(&mut socket).await, 2);
        others.push(socket);
    }

    let mut driver = setting.socket("/ws").await;
    let before = resident(&setting.server);
    for number in 1..=CHANGES {
        driver.send(json!({"type": "command", "id": "c", "sessionId": id, "command": progress(number)})).await;
        let revision = driver.frame().await["revision"].as_u64().expect("an ack");
        // Each of them has this state before the next change is even asked for.
        for other in &mut others {
            assert_eq!(revision_of(other).await, revision);
        }
    }
    if let (Some(before), Some(after)) = (before, resident(&setting.server)) {
        // A queue would hold 150 states of 300 KB for the one that is stuck.
        assert!(after < before + 24 * 1024, "grew from {before} to {after} kB");
    }

    let last = CHANGES + 2;
    let frames = read_up_to(&mut stuck, last).await;
    assert!(frames <= 4, "{frames} frames: a backlog of old states");
    let revision = change(&setting, &id, std::iter::once(progress(CHANGES + 1))).await;
    assert_eq!(revision_of(&mut stuck).await, revision);
    setting.server.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_and_it_gets_the_newest_when_it_reads_again() {
    the_others_go_on(Setting::start(None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_too_the_others_go_on_and_it_gets_the_newest() {
    the_others_go_on(Setting::start(Some(TlsFiles::create())).await).await;
}

async fn none_is_missed(setting: Setting) {
    let created = setting.post("/api/v1/sessions", json!({})).await;
    let id = created["id"].as_str().expect("an id").to_owned();
    setting.post(&format!("/api/v1/sessions/{id}/control"), json!({"action": "start"})).await;
    let mut stuck = setting.narrow(&format!("/ws/sessions/{id}?mode=events")).await;
    // More than memory keeps for viewers that are behind, in number and in bytes.
    let text = "x".repeat(2_000);
    let notes = (0..400).map(|number| json!({"type": "setContext", "key": "k", "value": [number, text]}));
    let last = change(&setting, &id, notes).await;
    for revision in 1..=last {
        assert_eq!(revision_of(&mut stuck).await, revision);
    }
    let next = change(&setting, &id, std::iter::once(json!({"type": "pause"}))).await;
    assert_eq!(revision_of(&mut stuck).await, next);
    // It was slow, not gone: nobody closed it, and nothing else came.
    assert!(stuck.is_quiet(Duration::from_millis(50)).await);
    let session = setting.http.get(setting.url(&format!("/api/v1/sessions/{id}"))).send().await.expect("an answer");
    assert_eq!(session.json::<Value>().await.expect("JSON")["status"], "paused");
    setting.server.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_events_mode_it_misses_none() {
    none_is_missed(Setting::start(None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_too_it_misses_none_in_events_mode() {
    none_is_missed(Setting::start(Some(TlsFiles::create())).await).await;
}
