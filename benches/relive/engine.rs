//! Nodes per second through the built-in engine, with nodes that do nothing: every start and every end
//! is durable. Beside it the same changes as bare commands over WebSocket, and one run at a time to see
//! what a node adds.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::support::{Server, Table, median};
use super::websocket::{self, Client};

/// Sessions at once, and nodes of each: twenty branches of ten.
const SESSIONS: usize = 100;
const BRANCHES: usize = 20;
const LENGTH: usize = 10;
/// Nodes in a row, for the time that one adds.
const ROW: usize = 200;
const ROUNDS: usize = 3;

pub fn run(server: &Server, table: &mut Table) {
    let (mut engine, mut bare, mut ratios, mut added) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let commit = server.commit_latency_in("engine_latency").as_secs_f64() * 1e3;
    let nodes = BRANCHES * LENGTH + 2;
    drive(server, 10);
    for _ in 0..ROUNDS {
        let nodes_per_second = (SESSIONS * nodes) as f64 / drive(server, SESSIONS).as_secs_f64();
        let bare_per_second = (SESSIONS * nodes) as f64 / commands(server, SESSIONS, nodes).as_secs_f64();
        eprintln!("  {nodes_per_second:.0} nodes/s, {bare_per_second:.0} nodes/s as bare commands");
        engine.push(nodes_per_second);
        bare.push(bare_per_second);
        ratios.push(nodes_per_second / bare_per_second);
        added.push(one_after_the_other(server).as_secs_f64() * 1e3);
    }
    table.row(
        "nodes per second through the built-in engine",
        format!("{:.0}/s", median(&mut engine)),
        format!("{:.0}/s, the same changes as bare commands", median(&mut bare)),
        format!("{:.2}x", median(&mut ratios)),
        "-",
    );
    let added = median(&mut added);
    table.row(
        "time a node adds, one after the other",
        format!("{added:.2} ms"),
        format!("{commit:.2} ms, one single-row commit"),
        format!("{:.1}x", added / commit),
        "-",
    );
    table.note(format!(
        "engine: {SESSIONS} sessions at once of {nodes} nodes that do nothing, {BRANCHES} branches each"
    ));
}

fn node(nodes: &mut Map<String, Value>, id: &str, next: Vec<String>) {
    nodes.insert(id.to_owned(), json!({"id": id, "type": "sequence", "name": id, "nextIds": next}));
}

fn branches() -> Value {
    let mut nodes = Map::new();
    let id = |branch: usize, place: usize| format!("n{branch:02}{place:02}");
    node(&mut nodes, "start", (0..BRANCHES).map(|branch| id(branch, 0)).collect());
    node(&mut nodes, "end", Vec::new());
    for branch in 0..BRANCHES {
        for place in 0..LENGTH {
            let next = if place + 1 < LENGTH { id(branch, place + 1) } else { "end".to_owned() };
            node(&mut nodes, &id(branch, place), vec![next]);
        }
    }
    json!({"name": "engine", "startNodeId": "start", "nodes": nodes})
}

/// Runs sessions at once; the time from the first start to the last end.
fn drive(server: &Server, sessions: usize) -> Duration {
    let ids = create(server, sessions, &branches());
    run_all(server, &ids)
}

fn create(server: &Server, sessions: usize, graph: &Value) -> Vec<String> {
    (0..sessions)
        .map(|_| {
            let session = server.post("/api/v1/sessions", &json!({"graph": graph, "driver": "builtin"}));
            session["id"].as_str().expect("an id").to_owned()
        })
        .collect()
}

fn run_all(server: &Server, ids: &[String]) -> Duration {
    // Before the start, so that none of the ends is missed.
    let mut watcher = Client::new(websocket::open(server.address, "/ws"));
    for id in ids {
        watcher.send_text(&json!({"type": "subscribe", "sessionId": id, "minIntervalMs": 1_000}));
    }
    let started = Instant::now();
    for (number, id) in ids.iter().enumerate() {
        let start = json!({"type": "command", "id": number.to_string(), "sessionId": id, "command": {"type": "start"}});
        watcher.send_text(&start);
    }
    watcher.wait_for_ends(ids.len() as u64);
    started.elapsed()
}

/// The same changes, sent as fast as a connection takes them: every node starts and completes.
fn commands(server: &Server, sessions: usize, nodes: usize) -> Duration {
    let ids: Vec<String> = (0..sessions).map(|_| server.session(nodes)).collect();
    let mut client = Client::new(websocket::open(server.address, "/ws"));
    let mut sent = 0;
    let started = Instant::now();
    for node in 0..nodes {
        for status in ["running", "completed"] {
            let mut frames = Vec::new();
            for id in &ids {
                websocket::push_frame(
                    &mut frames,
                    &websocket::set_status(usize::try_from(sent).unwrap_or(0), id, node, status),
                );
                sent += 1;
            }
            client.send(&frames);
            // The server takes up to 1,024 commands of a connection.
            client.wait_for_acks(sent - sent.min(900));
        }
    }
    client.wait_for_acks(sent);
    started.elapsed()
}

/// The time of one node in a row of them.
fn one_after_the_other(server: &Server) -> Duration {
    let mut nodes = Map::new();
    for place in 0..ROW {
        let next = if place + 1 < ROW { vec![format!("n{:04}", place + 1)] } else { Vec::new() };
        node(&mut nodes, &format!("n{place:04}"), next);
    }
    let graph = json!({"name": "row", "startNodeId": "n0000", "nodes": nodes});
    let ids = create(server, 1, &graph);
    run_all(server, &ids) / ROW as u32
}
