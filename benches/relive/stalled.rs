//! What 1,000 viewers that have stopped reading cost 1,000 others of the same session.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::readers::Readers;
use super::support::{Server, Table, millis};
use super::websocket::{self, Client};

const HEALTHY: usize = 1_000;
const STALLED: usize = 1_000;
const NODES: usize = 10;
const ROUNDS: usize = 300;
/// Bytes that the kernel keeps for a viewer that does not read; after it, the server has to.
const RECEIVE_BUFFER: usize = 4_096;

pub fn run(server: &Server, table: &mut Table) {
    let session = server.session(NODES);
    let path = format!("/ws/sessions/{session}");
    let mut driver = Driver { client: Client::new(websocket::open(server.address, "/ws")), session, sent: 0 };
    let healthy = Readers::new((0..HEALTHY).map(|_| websocket::open(server.address, &path)).collect());
    healthy.complete(HEALTHY);
    let without = driver.rounds(&healthy);
    let stalled: Vec<TcpStream> = (0..STALLED)
        .map(|_| {
            let stalled = websocket::open(server.address, &path);
            socket2::SockRef::from(&stalled).set_recv_buffer_size(RECEIVE_BUFFER).expect("a buffer");
            stalled
        })
        .collect();
    let beside = driver.rounds(&healthy);
    drop(stalled);
    let at = |times: &[Duration], share: f64| times[((times.len() - 1) as f64 * share) as usize];
    table.row(
        &format!("a change to the last of {HEALTHY} viewers, {STALLED} others do not read (p99)"),
        format!("{:.1} ms", millis(at(&beside, 0.99))),
        format!("{:.1} ms without them", millis(at(&without, 0.99))),
        format!("{:.2}x", millis(at(&beside, 0.99)) / millis(at(&without, 0.99))),
        "at most 1.2x",
    );
}

struct Driver {
    client: Client,
    session: String,
    sent: usize,
}

impl Driver {
    /// How long each change took to the last of the viewers, shortest first.
    fn rounds(&mut self, viewers: &Readers) -> Vec<Duration> {
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let status = ["running", "completed"][self.sent / NODES % 2];
                let began = Instant::now();
                self.client.send_text(&websocket::set_status(self.sent, &self.session, self.sent % NODES, status));
                let last = viewers.complete(HEALTHY);
                self.sent += 1;
                self.client.wait_for_acks(self.sent as u64);
                last - began
            })
            .collect();
        times.sort_unstable();
        times
    }
}
