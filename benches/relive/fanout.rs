//! From a command to the last of 1,000 viewers: decided, committed with `fsync`, applied, encoded
//! and written to every one of them. Held against a bare loop of `write` of the same bytes to as
//! many sockets. The readers are the same on both sides.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::readers::{Readers, pairs};
use super::support::{Server, Table, median, millis};
use super::websocket::{self, Client};

const VIEWERS: usize = 1_000;
const NODES: usize = 10;
const ROUNDS: usize = 300;
const WARM_UP: usize = 20;

pub fn run(server: &Server, table: &mut Table) {
    let session = server.session(NODES);
    let path = format!("/ws/sessions/{session}");
    let mut driver = Client::new(websocket::open(server.address, "/ws"));
    // Each node once, so that what follows changes the frame's size no more.
    let mut changes = (0..).map(|change| {
        let status = if (change / NODES).is_multiple_of(2) { "running" } else { "completed" };
        let mut frame = Vec::new();
        websocket::push_frame(&mut frame, &websocket::set_status(change, &session, change % NODES, status));
        frame
    });
    for change in 1..=2 * NODES as u64 {
        driver.send(&changes.next().expect("endless"));
        driver.wait_for_acks(change);
    }

    let mut probe = Client::new(websocket::open(server.address, &path));
    probe.wait_for_states(1);
    let frame_bytes = usize::try_from(probe.frames.state_bytes).expect("a frame");
    let frame = text_frame(frame_bytes);
    drop(probe);

    let viewers = (0..VIEWERS).map(|_| websocket::open(server.address, &path)).collect();
    let viewers = Readers::new(viewers);
    viewers.complete(VIEWERS);
    let (mut writers, readers) = pairs(VIEWERS);
    writers.iter().for_each(|writer| writer.set_nonblocking(true).expect("non-blocking"));
    let readers = Readers::new(readers);

    let (mut served, mut bare) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + ROUNDS {
        let change = changes.next().expect("endless");
        let started = Instant::now();
        driver.send(&change);
        let by_server = viewers.complete(VIEWERS) - started;
        driver.wait_for_acks((2 * NODES + round + 1) as u64);

        let started = Instant::now();
        for writer in &mut writers {
            assert_eq!(writer.write(&frame).expect("written"), frame.len());
        }
        let by_loop = readers.complete(VIEWERS) - started;
        if round >= WARM_UP {
            served.push(by_server);
            bare.push(by_loop);
        }
    }
    let (by_server, by_loop) = (median(&mut served), median(&mut bare));
    let tail = |times: &[Duration]| times[times.len() * 95 / 100];
    table.row(
        &format!("a change to the last of {VIEWERS} viewers, {frame_bytes} B"),
        format!("{:.2} ms, commit included", millis(by_server)),
        format!("{:.2} ms, a bare loop of write(2)", millis(by_loop)),
        format!("{:.2}x", millis(by_server) / millis(by_loop)),
        "at most 1.5x",
    );
    table.note(format!(
        "fan-out, 95th percentile: {:.2} ms, the bare loop {:.2} ms",
        millis(tail(&served)),
        millis(tail(&bare)),
    ));
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
