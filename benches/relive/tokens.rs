//! Chunks of a message that is still being written, from one driver to 100 viewers: how long a single
//! one takes to the last of them, and how many a second reach them all. Held against a bare loop of
//! `write` of the same frames to as many sockets. Viewers are sent joined what came while they were
//! busy, and the bare loop joins nothing; what is counted is text, which is the same on both sides.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use super::readers::{Readers, pairs};
use super::support::{Server, Table, median, millis};
use super::websocket::{self, Client};

const VIEWERS: usize = 100;
/// What models send: a word with its blank, up to a few.
const TEXT: &str = "some twenty letters ";
const SINGLE: usize = 300;
const WARM_UP: usize = 20;
const ROUNDS: usize = 8;
/// Together with the single ones within the text that is kept of the messages of one session.
const BURST: usize = 5_000;

pub fn run(server: &Server, table: &mut Table) {
    let session = server.session(10);
    let path = format!("/ws/sessions/{session}?messages=true");
    let mut driver = websocket::open(server.address, "/ws");
    let message = Message::new(&session);

    // The first chunk brings the message into being, and shows how many bytes of a frame are not text.
    let mut probe = Client::new(websocket::open(server.address, &path));
    probe.wait_for_states(1);
    let before = (probe.frames.state_bytes, probe.frames.payload_bytes);
    driver.write_all(&message.chunks(1)).expect("sent");
    probe.wait_for_states(2);
    let frame_bytes = (probe.frames.state_bytes - before.0) as usize;
    let overhead = probe.frames.payload_bytes - before.1 - TEXT.len() as u64;

    let round = |chunks: usize| VIEWERS * TEXT.len() * chunks;
    let sockets: Vec<TcpStream> = (0..VIEWERS).map(|_| websocket::open(server.address, &path)).collect();
    // Each is first sent the state, and the text so far.
    let state = state_bytes(&session, server);
    let text = move |frames: &websocket::Frames| match frames.states {
        0 => 0,
        states => frames.payload_bytes - state - (states - 1) * overhead,
    };
    let viewers = Readers::counting(sockets, round(1) as u64, Box::new(text));
    viewers.complete(round(1));
    // Until now it kept the room open: what nobody watches is not kept.
    drop(probe);
    let (mut writers, readers) = pairs(VIEWERS);
    let text = move |frames: &websocket::Frames| frames.payload_bytes - frames.states * overhead;
    let readers = Readers::counting(readers, round(1) as u64, Box::new(text));
    let frame = text_frame(frame_bytes);

    let (mut served, mut bare) = (Vec::new(), Vec::new());
    for n in 1..=WARM_UP + SINGLE {
        let next = if n == WARM_UP + SINGLE { round(BURST) } else { round(1) };
        let chunk = message.chunks(1);
        let started = Instant::now();
        driver.write_all(&chunk).expect("sent");
        let by_server = viewers.complete(next) - started;
        let started = Instant::now();
        write_to_all(&mut writers, &frame, 1);
        let by_loop = readers.complete(next) - started;
        if n > WARM_UP {
            served.push(by_server);
            bare.push(by_loop);
        }
    }
    report_latency(table, &mut served, &mut bare);

    let (mut served, mut bare) = (Vec::new(), Vec::new());
    let mut last = Vec::new();
    for _ in 0..ROUNDS {
        let chunks = Message::new(&session).chunks(BURST);
        let started = Instant::now();
        driver.write_all(&chunks).expect("sent");
        let sent = Instant::now();
        let complete = viewers.complete(round(BURST));
        served.push(BURST as f64 / (complete - started).as_secs_f64());
        last.push(complete.saturating_duration_since(sent));
        let started = Instant::now();
        write_to_all(&mut writers, &frame, BURST);
        bare.push(BURST as f64 / (readers.complete(round(BURST)) - started).as_secs_f64());
    }
    let (by_server, by_loop) = (median(&mut served), median(&mut bare));
    table.row(
        &format!("chunks of a message per second, to {VIEWERS} viewers"),
        format!("{by_server:.0}, joined for busy viewers"),
        format!("{by_loop:.0}, a bare loop of write(2)"),
        format!("{:.1}x", by_server / by_loop),
        "at least 1x",
    );
    let last = millis(median(&mut last));
    table.note(format!(
        "{BURST} chunks at once: the last viewer has them all {last:.1} ms after the driver sent the last"
    ));
}

fn report_latency(table: &mut Table, served: &mut [Duration], bare: &mut [Duration]) {
    let (by_server, by_loop) = (median(served), median(bare));
    table.row(
        &format!("a chunk of a message to the last of {VIEWERS} viewers"),
        format!("{:.2} ms", millis(by_server)),
        format!("{:.2} ms, a bare loop of write(2)", millis(by_loop)),
        format!("{:.2}x", millis(by_server) / millis(by_loop)),
        "at most 2x",
    );
    let tail = |times: &[Duration]| millis(times[times.len() * 95 / 100]);
    table.note(format!("chunks, 95th percentile: {:.2} ms, the bare loop {:.2} ms", tail(served), tail(bare)));
}

/// Payload bytes of the session's first frame, which every viewer is sent.
fn state_bytes(session: &str, server: &Server) -> u64 {
    let mut probe = Client::new(websocket::open(server.address, &format!("/ws/sessions/{session}")));
    probe.wait_for_states(1);
    probe.frames.payload_bytes
}

struct Message {
    frame: Value,
}

impl Message {
    fn new(session: &str) -> Self {
        let id = Uuid::now_v7();
        Self { frame: json!({"type": "token", "sessionId": session, "nodeId": "n1", "messageId": id, "text": TEXT}) }
    }

    /// So many frames, encoded as a client sends them.
    fn chunks(&self, count: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        websocket::push_frame(&mut frame, &self.frame);
        frame.repeat(count)
    }
}

/// A text frame of so many bytes, header included, that is not taken for an answer.
fn text_frame(bytes: usize) -> Vec<u8> {
    let payload = u16::try_from(bytes - 4).expect("a frame of up to 64 KiB");
    let mut frame = vec![0x81, 126];
    frame.extend(payload.to_be_bytes());
    frame.extend_from_slice(br#"{"type":"token""#);
    frame.resize(bytes, b' ');
    frame
}

fn write_to_all(writers: &mut [TcpStream], frame: &[u8], times: usize) {
    for _ in 0..times {
        for writer in &mut *writers {
            writer.write_all(frame).expect("written");
        }
    }
}
