//! How long a command takes beside a flood in another session: frames of 1,000 messages each, as many as
//! fit on one socket.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Server, Table, median};
use super::websocket::{self, Client};

/// Frames of the flood; the server takes up to 1,024 from a connection before it answers one.
const FRAMES: usize = 1_024;
const MESSAGES: usize = 1_000;
/// Sessions beside it, so that some are in its lane.
const OTHERS: usize = 16;

pub fn run(server: &Server, table: &mut Table) {
    let flooded = server.session(1);
    let others: Vec<String> = (0..OTHERS).map(|_| server.session(1)).collect();
    let mut calm = one_round_of_each(server.address, &others, || false);
    let frames = frames();
    let flood = std::thread::spawn({
        let address = server.address;
        move || {
            let started = Instant::now();
            let mut client = Client::new(websocket::open(address, "/ws"));
            let ids = (0..frames).map(|id| flood_frame(id, &flooded));
            for frame in ids {
                client.send_text(&frame);
            }
            client.wait_for_acks(frames as u64);
            started.elapsed()
        }
    });
    let mut beside = one_round_of_each(server.address, &others, || !flood.is_finished());
    let time = flood.join().expect("every frame is answered");
    let (usual, slowest) = (median(&mut calm), beside.iter().copied().fold(0.0, f64::max));
    table.row(
        "a command beside a flood, the slowest",
        format!("{slowest:.1} ms"),
        format!("{usual:.1} ms, without it, median"),
        format!("{:.0}x", slowest / usual),
        "at most 250 ms",
    );
    table.note(format!(
        "flood: {frames} frames of {MESSAGES} messages, all answered within {:.1} s; beside it {} commands, {:.1} ms in \
         the median",
        time.as_secs_f64(),
        beside.len(),
        median(&mut beside),
    ));
}

/// Fewer by `RELIVE_BENCH_FRAMES`, for a slow build.
fn frames() -> usize {
    std::env::var("RELIVE_BENCH_FRAMES").ok().and_then(|frames| frames.parse().ok()).unwrap_or(FRAMES)
}

fn flood_frame(id: usize, session: &str) -> Value {
    let message = json!({"type": "addMessage", "nodeId": "n0", "content": "a line of a conversation"});
    json!({"type": "command", "id": id.to_string(), "sessionId": session, "commands": vec![message; MESSAGES]})
}

/// Milliseconds of one command after the other, each of the sessions in turn, for at least one round.
fn one_round_of_each(address: SocketAddr, sessions: &[String], goes_on: impl Fn() -> bool) -> Vec<f64> {
    let mut client = Client::new(websocket::open(address, "/ws"));
    let mut times = Vec::new();
    while times.len() < sessions.len() || goes_on() {
        let status = if (times.len() / sessions.len()).is_multiple_of(2) { "running" } else { "completed" };
        let session = &sessions[times.len() % sessions.len()];
        let started = Instant::now();
        client.send_text(&websocket::set_status(times.len(), session, 0, status));
        client.wait_for_acks(times.len() as u64 + 1);
        times.push(started.elapsed().as_secs_f64() * 1e3);
        // Spread over the flood, and no flood of its own.
        std::thread::sleep(Duration::from_millis(2));
    }
    times
}
