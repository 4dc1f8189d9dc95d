//! From a command to the last of 500 viewers, as server-sent events and over WebSocket: two sessions of the same shape,
//! each with viewers of one kind, and the same change in turns.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::readers::Readers;
use super::support::{Server, Table, median, millis};
use super::websocket::{self, Client};

const VIEWERS: usize = 500;
const NODES: usize = 10;
const ROUNDS: usize = 300;
const WARM_UP: usize = 20;

/// A session, its viewers, and what drives it.
struct Watched {
    session: String,
    viewers: Readers,
    driver: Client,
    changes: usize,
}

impl Watched {
    fn new(server: &Server, open: impl Fn(&str) -> TcpStream, read: impl Fn(Vec<TcpStream>) -> Readers) -> Self {
        let session = server.session(NODES);
        let viewers = read((0..VIEWERS).map(|_| open(&session)).collect());
        viewers.complete(VIEWERS);
        let driver = Client::new(websocket::open(server.address, "/ws"));
        Self { session, viewers, driver, changes: 0 }
    }

    /// How long a change takes to the last viewer, commit included.
    fn round(&mut self) -> Duration {
        let status = if (self.changes / NODES).is_multiple_of(2) { "running" } else { "completed" };
        let mut frame = Vec::new();
        let change = websocket::set_status(self.changes, &self.session, self.changes % NODES, status);
        websocket::push_frame(&mut frame, &change);
        self.changes += 1;
        let started = Instant::now();
        self.driver.send(&frame);
        let took = self.viewers.complete(VIEWERS) - started;
        self.driver.wait_for_acks(self.changes as u64);
        took
    }
}

pub fn run(server: &Server, table: &mut Table) {
    let address = server.address;
    let socket = |id: &str| websocket::open(address, &format!("/ws/sessions/{id}"));
    let stream = |id: &str| websocket::open_events(address, &format!("/api/v1/sessions/{id}/stream"));
    let mut sockets = Watched::new(server, socket, Readers::new);
    let mut streams = Watched::new(server, stream, Readers::of_events);
    let (mut by_socket, mut by_stream) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + ROUNDS {
        let (socket, stream) = (sockets.round(), streams.round());
        if round >= WARM_UP {
            by_socket.push(socket);
            by_stream.push(stream);
        }
    }
    let (by_socket, by_stream) = (median(&mut by_socket), median(&mut by_stream));
    table.row(
        &format!("a change to the last of {VIEWERS} server-sent event streams"),
        format!("{:.2} ms, commit included", millis(by_stream)),
        format!("{:.2} ms, as many WebSockets", millis(by_socket)),
        format!("{:.2}x", millis(by_stream) / millis(by_socket)),
        "at most 2x",
    );
}
