//! From a command to the last of 1, 100, 1,000 and 9,000 viewers: decided, committed with `fsync`, applied, encoded
//! and written to every one of them. Held against a bare loop of `write` of the same bytes to as
//! many sockets. The readers are the same on both sides.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::readers::{Readers, pairs};
use super::support::{Server, Table, median, millis};
use super::websocket::{self, Client};

const VIEWERS: [usize; 4] = [1, 100, 1_000, 9_000];
const NODES: usize = 10;
/// Changes that are measured, for so many viewers.
const ROUNDS: [usize; 4] = [300, 300, 300, 40];
const WARM_UP: usize = 20;

pub fn run(server: &Server, table: &mut Table) {
    let session = server.session(NODES);
    let mut driver = Driver { client: Client::new(websocket::open(server.address, "/ws")), session, sent: 0 };
    // Each node twice, so that what follows changes the frame's size no more.
    for _ in 0..2 * NODES {
        driver.send();
        driver.wait();
    }
    for (viewers, rounds) in VIEWERS.into_iter().zip(ROUNDS) {
        measure(server, &mut driver, viewers, rounds, table);
    }
}

fn measure(server: &Server, driver: &mut Driver, viewers: usize, rounds: usize, table: &mut Table) {
    let path = format!("/ws/sessions/{}", driver.session);
    let mut probe = Client::new(websocket::open(server.address, &path));
    probe.wait_for_states(1);
    let frame_bytes = usize::try_from(probe.frames.state_bytes).expect("a frame");
    let frame = text_frame(frame_bytes);
    drop(probe);

    let sockets = Readers::new((0..viewers).map(|_| websocket::open(server.address, &path)).collect());
    sockets.complete(viewers);
    // The bare loop's sockets have both ends in this process.
    let bare_viewers = viewers.min(4_000);
    let (mut writers, readers) = pairs(bare_viewers);
    writers.iter().for_each(|writer| writer.set_nonblocking(true).expect("non-blocking"));
    let readers = Readers::new(readers);

    let (mut served, mut bare) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + rounds {
        let started = Instant::now();
        driver.send();
        let by_server = sockets.complete(viewers) - started;
        driver.wait();

        let started = Instant::now();
        for writer in &mut writers {
            assert_eq!(writer.write(&frame).expect("written"), frame.len());
        }
        let by_loop = readers.complete(bare_viewers) - started;
        if round >= WARM_UP {
            served.push(by_server);
            bare.push(by_loop.mul_f64(viewers as f64 / bare_viewers as f64));
        }
    }
    let (by_server, by_loop) = (median(&mut served), median(&mut bare));
    let at = |times: &[Duration], share: f64| millis(times[((times.len() - 1) as f64 * share) as usize]);
    table.row(
        &format!("a change to the last of {viewers} viewers, {frame_bytes} B"),
        format!("{:.2} ms, commit included", millis(by_server)),
        format!("{:.2} ms, a bare loop of write(2)", millis(by_loop)),
        format!("{:.2}x", millis(by_server) / millis(by_loop)),
        if viewers == 1_000 { "at most 1.15x" } else { "-" },
    );
    table.note(format!(
        "{viewers} viewers: p95 {:.2} ms, p99 {:.2} ms, max {:.2} ms; the bare loop {:.2}, {:.2}, {:.2} ms",
        at(&served, 0.95),
        at(&served, 0.99),
        at(&served, 1.0),
        at(&bare, 0.95),
        at(&bare, 0.99),
        at(&bare, 1.0),
    ));
}

/// Changes one node after the other.
struct Driver {
    client: Client,
    session: String,
    sent: usize,
}

impl Driver {
    fn send(&mut self) {
        let status = ["running", "completed"][self.sent / NODES % 2];
        self.client.send_text(&websocket::set_status(self.sent, &self.session, self.sent % NODES, status));
        self.sent += 1;
    }

    fn wait(&mut self) {
        self.client.wait_for_acks(self.sent as u64);
    }
}

/// A text frame of so many bytes, header included, that counts as a state.
fn text_frame(bytes: usize) -> Vec<u8> {
    let payload = u16::try_from(bytes - 4).expect("a frame of up to 64 KiB");
    let mut frame = vec![0x81, 126];
    frame.extend(payload.to_be_bytes());
    frame.extend_from_slice(br#"{"type":"snapshot""#);
    frame.resize(bytes, b' ');
    frame
}
