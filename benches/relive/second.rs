//! What a second server on the database costs the first, and how soon its viewers are shown a commit of the first.

use std::time::{Duration, Instant};

use super::few::clients;
use super::support::{Server, Table, median, millis};
use super::websocket::{self, Client};
use super::write::NODES;

const SESSIONS: usize = 500;
const ROUNDS: usize = 100;
/// Longer than the time in which notices are gathered.
const SILENCE: Duration = Duration::from_millis(50);

pub fn run(server: &Server, table: &mut Table) {
    let sessions = server.sessions(SESSIONS, NODES);
    let alone = (clients(server, &sessions, 1), clients(server, &sessions, 100));
    let shown_here = shown(server, server);
    let second = server.second();
    // Until the two have heard of each other.
    std::thread::sleep(Duration::from_secs(2));
    let beside = (clients(server, &sessions, 1), clients(server, &sessions, 100));
    let shown_there = shown(server, &second);
    table.row(
        "a lone command, a second server idle beside it (p50)",
        format!("{:.2} ms", millis(beside.0.at(0.5))),
        format!("{:.2} ms without it", millis(alone.0.at(0.5))),
        format!("{:.2}x", millis(beside.0.at(0.5)) / millis(alone.0.at(0.5))),
        "at most 1.1x",
    );
    table.row(
        "100 commands in flight, a second server idle beside it",
        format!("{:.0}/s", beside.1.per_second()),
        format!("{:.0}/s without it", alone.1.per_second()),
        format!("{:.2}x", beside.1.per_second() / alone.1.per_second()),
        "at least 0.9x",
    );
    table.row(
        "a command to a viewer on another server, at rest",
        format!("{:.2} ms", millis(shown_there)),
        format!("{:.2} ms, on the same server", millis(shown_here)),
        format!("+{:.2} ms", millis(shown_there.saturating_sub(shown_here))),
        "at most +1 ms",
    );
}

/// The median time from a command to its state at a viewer, in a session of its own: a status that a node has already
/// is not shown.
fn shown(to: &Server, at: &Server) -> Duration {
    let session = &to.sessions(1, NODES)[0];
    let mut viewer = Client::new(websocket::open_as(at.address, &format!("/ws/sessions/{session}"), at.key));
    viewer.wait_for_states(1);
    let mut driver = Client::new(websocket::open_as(to.address, "/ws", to.key));
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        std::thread::sleep(SILENCE);
        let seen = viewer.frames.states;
        let status = ["running", "completed"][round / NODES % 2];
        let sent = Instant::now();
        driver.send_text(&websocket::set_status(1, session, round % NODES, status));
        viewer.wait_for_states(seen + 1);
        times.push(sent.elapsed());
        driver.wait_for_acks(round as u64 + 1);
    }
    median(&mut times)
}
