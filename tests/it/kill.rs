//! `kill -9` of the server in the middle of a stream of commands.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{DEADLINE, Database, ServerProcess, Socket};
use crate::story::{context, journal, running_session, values};

/// Commands in each life of the server, and how many of them are answered before it is killed.
const COMMANDS: u64 = 900;
const KILLED_AFTER: usize = 150;
const LIVES: u64 = 4;

async fn start(database: &Database) -> ServerProcess {
    let settings = [("DATABASE_URL", database.url()), ("RELIVE_EMBEDDING_DIM", "8".into())];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    ServerProcess::start(&settings).await
}

/// Sends commands, all at once, and hands out their acks as they come, until the socket breaks.
fn drive(socket: Socket, session: &str, commands: impl Iterator<Item = u64>) -> mpsc::UnboundedReceiver<Value> {
    let (mut sink, mut stream) = socket.stream.split();
    let frames: Vec<_> = commands
        .map(|number| {
            json!({"type": "command", "id": number.to_string(), "sessionId": session, "command": context(number),
                   "commandId": format!("c{number}")})
        })
        .collect();
    tokio::spawn(async move {
        for frame in frames {
            if sink.send(Message::text(frame.to_string())).await.is_err() {
                return;
            }
        }
    });
    let (sender, acks) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            let Message::Text(text) = message else { continue };
            let _ = sender.send(serde_json::from_str(&text).expect("JSON"));
        }
    });
    acks
}

/// A viewer's frames until its socket breaks.
fn watch(socket: Socket) -> tokio::task::JoinHandle<Vec<Value>> {
    let mut stream = socket.stream;
    tokio::spawn(async move {
        let mut frames = Vec::new();
        while let Some(Ok(message)) = stream.next().await {
            let Message::Text(text) = message else { continue };
            frames.push(serde_json::from_str(&text).expect("JSON"));
        }
        frames
    })
}

async fn next(acks: &mut mpsc::UnboundedReceiver<Value>) -> Option<(u64, Value)> {
    let ack = tokio::time::timeout(DEADLINE, acks.recv()).await.expect("an answer in time")?;
    assert_eq!(ack["type"], "ack", "{ack}");
    Some((ack["id"].as_str().expect("an id").parse().expect("a number"), ack))
}

fn revision(frame: &Value) -> u64 {
    frame["revision"].as_u64().expect("a revision")
}

async fn view(address: SocketAddr, session: &str, query: &str) -> Socket {
    Socket::open(address, &format!("/ws/sessions/{session}?{query}")).await
}

#[tokio::test]
async fn what_was_acknowledged_survives_and_nothing_happens_twice() {
    let database = Database::create().await;
    let mut server = start(&database).await;
    let session = running_session(server.address).await;
    let mut answered: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut seen_events, mut seen_state) = (0, 0);

    for life in 0..LIVES {
        let events = watch(view(server.address, &session, &format!("mode=events&after={seen_events}")).await);
        let snapshots = watch(view(server.address, &session, &format!("after={seen_state}")).await);
        let socket = Socket::open(server.address, "/ws").await;
        let mut acks = drive(socket, &session, life * COMMANDS..(life + 1) * COMMANDS);
        for _ in 0..KILLED_AFTER {
            let (number, ack) = next(&mut acks).await.expect("alive");
            assert_eq!(answered.insert(number, revision(&ack)), None);
        }
        server.kill().await;
        while let Some((number, ack)) = next(&mut acks).await {
            assert_eq!(answered.insert(number, revision(&ack)), None);
        }

        // Each viewer goes on where it was: no event missing or twice, no older state.
        for frame in events.await.expect("events") {
            assert_eq!((frame["type"].as_str(), revision(&frame)), (Some("event"), seen_events + 1));
            seen_events += 1;
        }
        for frame in snapshots.await.expect("snapshots") {
            assert_eq!(frame["type"], "snapshot");
            assert!(revision(&frame) > seen_state, "an older state after a newer one");
            seen_state = revision(&frame);
        }

        server = start(&database).await;
        let before = journal(server.address, &session).await;
        let found = values(&before);
        for (number, revision) in &answered {
            assert_eq!(found.get(number), Some(revision), "acknowledged command {number}");
        }
        assert!(seen_events <= before.len() as u64 && seen_state <= before.len() as u64, "seen before it was durable");

        // The driver repeats whatever it has no answer to.
        let open: BTreeSet<u64> =
            (life * COMMANDS..(life + 1) * COMMANDS).filter(|number| !answered.contains_key(number)).collect();
        let mut acks = drive(Socket::open(server.address, "/ws").await, &session, open.iter().copied());
        for _ in 0..open.len() {
            let (number, ack) = next(&mut acks).await.expect("alive");
            assert_eq!(ack["duplicate"] == true, found.contains_key(&number), "command {number}: {ack}");
            if let Some(first) = found.get(&number) {
                assert_eq!(revision(&ack), *first);
            }
            assert_eq!(answered.insert(number, revision(&ack)), None);
        }
        let found = values(&journal(server.address, &session).await);
        assert_eq!(found, answered.iter().map(|(number, revision)| (*number, *revision)).collect());
    }
    assert_eq!(journal(server.address, &session).await.len() as u64, 2 + LIVES * COMMANDS);
    server.kill().await;
}

/// More repetitions in flight than a session remembers command ids.
#[tokio::test]
async fn a_thousand_repetitions_after_a_kill_are_all_recognised() {
    let database = Database::create().await;
    let server = start(&database).await;
    let session = running_session(server.address).await;
    let mut acks = drive(Socket::open(server.address, "/ws").await, &session, 0..1_000);
    let mut first = BTreeMap::new();
    for _ in 0..1_000 {
        let (number, ack) = next(&mut acks).await.expect("alive");
        first.insert(number, revision(&ack));
    }
    server.kill().await;

    let server = start(&database).await;
    let mut acks = drive(Socket::open(server.address, "/ws").await, &session, 0..1_000);
    for _ in 0..1_000 {
        let (number, ack) = next(&mut acks).await.expect("alive");
        assert_eq!((revision(&ack), &ack["duplicate"]), (first[&number], &json!(true)));
    }
    assert_eq!(journal(server.address, &session).await.len(), 1_002);
    server.kill().await;
}
