//! The files of `src/ws` on the way of a change to a client.

mod cases;
#[path = "../../../src/ws/client.rs"]
mod client;
#[path = "../../../src/ws/frame_ids.rs"]
mod frame_ids;
#[path = "../../../src/ws/frames.rs"]
mod frames;
#[path = "../../../src/ws/message_chunks.rs"]
mod message_chunks;
#[path = "../../../src/ws/rooms.rs"]
mod rooms;
#[path = "../../../src/ws/socket.rs"]
mod socket;
mod socket_cases;
#[path = "../../../src/ws/sse_writer.rs"]
mod sse_writer;
#[path = "../../../src/ws/viewer.rs"]
mod viewer;

mod transport {
    pub(super) use crate::sync::Transport;
}

mod metrics {
    pub struct Metrics;

    impl Metrics {
        pub fn sent(&self, _: usize) {}

        pub fn conflated(&self, _: u64) {}
    }

    pub fn metrics() -> Metrics {
        Metrics
    }
}

/// The payloads of the frames that were written; they must be whole, but for the last.
fn payloads(wire: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut payloads) = (wire, Vec::new());
    while let [opcode, length, ..] = rest {
        assert!([0x81, 0x82].contains(opcode), "no frame begins with {opcode:#x}");
        let (header, length) = match length {
            126 if rest.len() < 4 => break,
            126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
            short => (2, usize::from(*short)),
        };
        let Some(payload) = rest.get(header..header + length) else { break };
        payloads.push(payload);
        rest = &rest[header + length..];
    }
    payloads
}
