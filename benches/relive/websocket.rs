//! A WebSocket client that does next to nothing: it sends frames that were encoded beforehand, and
//! tells received ones apart by two bytes. It shares the machine with the server under test; a real
//! client spends several times as much on the same traffic.

use std::io::{BufRead as _, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// For anything that is waited for; longer means that something broke.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Opens a WebSocket, such as `/ws`. Nothing that follows the handshake is read yet.
pub fn open(address: SocketAddr, path: &str) -> TcpStream {
    open_as(address, path, None)
}

/// Opens a stream of server-sent events. Nothing that follows the head of the answer is read yet.
pub fn open_events(address: SocketAddr, path: &str) -> TcpStream {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n");
    request_to(address, &request, "HTTP/1.1 200")
}

/// As [`open`], with a key.
pub fn open_as(address: SocketAddr, path: &str, key: Option<&str>) -> TcpStream {
    let authorization = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    request_to(address, &request, "HTTP/1.1 101")
}

fn request_to(address: SocketAddr, request: &str, status: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_nodelay(true).expect("nodelay");
    stream.set_read_timeout(Some(DEADLINE)).expect("timeout");
    stream.write_all(request.as_bytes()).expect("handshake");
    // Byte by byte, so that the first frame stays in the socket.
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("handshake");
        head.push(byte[0]);
    }
    assert!(head.starts_with(status.as_bytes()), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Appends a text frame as clients send it: masked.
pub fn push_frame(frames: &mut Vec<u8>, body: &Value) {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let body = body.to_string();
    match (u8::try_from(body.len()), u16::try_from(body.len())) {
        (Ok(length @ ..=125), _) => frames.extend([0x81, 0x80 | length]),
        (_, Ok(length)) => {
            frames.extend([0x81, 0x80 | 126]);
            frames.extend(length.to_be_bytes());
        }
        _ => {
            frames.extend([0x81, 0x80 | 127]);
            frames.extend((body.len() as u64).to_be_bytes());
        }
    }
    frames.extend(MASK);
    frames.extend(body.bytes().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// An empty, masked pong: whoever keeps one of these sockets for long has to answer pings.
pub const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

/// Counts the frames in a stream of bytes, however it is cut into reads.
#[derive(Debug, Default)]
pub struct Frames {
    header: Vec<u8>,
    /// Payload bytes of the current frame: those still to come, and those seen.
    left: usize,
    seen: usize,
    /// The payload's bytes 9 and 10: what follows `{"type":"`.
    kind: [u8; 2],
    /// Text frames that are complete: `ack`, and all others but `error`.
    pub acks: u64,
    pub states: u64,
    /// Of those, the ones that say a session has ended.
    pub ends: u64,
    /// Bytes of those states, headers included, and without.
    pub state_bytes: u64,
    pub payload_bytes: u64,
    pub pings: u64,
    /// Set for an event stream, which has lines in place of frames.
    lines: Option<Lines>,
}

/// Where in an event stream the next byte is.
#[derive(Debug, Default)]
struct Lines {
    /// Data has come since the last event was complete. Comments have none.
    has_data: bool,
    is_in_line: bool,
}

impl Frames {
    /// Counts the events of an event stream as states.
    pub fn of_events() -> Self {
        Self { lines: Some(Lines::default()), ..Self::default() }
    }

    fn feed_events(&mut self, mut bytes: &[u8]) {
        let Some(lines) = &mut self.lines else { return };
        while !bytes.is_empty() {
            let rest = bytes;
            let length = bytes.skip_until(b'\n').expect("bytes in memory");
            let line = &rest[..length];
            if !lines.is_in_line {
                lines.has_data |= line.starts_with(b"data");
                if line == b"\n" && std::mem::take(&mut lines.has_data) {
                    self.states += 1;
                }
            }
            lines.is_in_line = !line.ends_with(b"\n");
        }
    }

    pub fn feed(&mut self, mut bytes: &[u8]) {
        if self.lines.is_some() {
            return self.feed_events(bytes);
        }
        while !bytes.is_empty() {
            if self.left == 0 && !self.is_in_frame() {
                self.header.push(bytes[0]);
                bytes = &bytes[1..];
                if self.is_in_frame() && self.left == 0 {
                    self.complete(&[]);
                }
                continue;
            }
            let part = self.left.min(bytes.len());
            for (place, kind) in (9..).zip(&mut self.kind) {
                if (self.seen..self.seen + part).contains(&place) {
                    *kind = bytes[place - self.seen];
                }
            }
            self.seen += part;
            self.left -= part;
            if self.left == 0 {
                self.complete(&bytes[..part]);
            }
            bytes = &bytes[part..];
        }
    }

    /// Whether the header is complete; sets the length when it has just become so.
    fn is_in_frame(&mut self) -> bool {
        let extended = match self.header.get(1) {
            Some(126) => 2,
            Some(127) => 8,
            Some(_) => 0,
            None => return false,
        };
        if self.header.len() < 2 + extended {
            return false;
        }
        if self.seen == 0 {
            self.left = match extended {
                0 => self.header[1].into(),
                _ => self.header[2..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
            };
        }
        true
    }

    /// `end` is the last of the payload, mostly all of it.
    fn complete(&mut self, end: &[u8]) {
        match (self.header[0] & 0x0f, &self.kind) {
            (1, b"ac") => self.acks += 1,
            (1, b"er") => panic!("the server refused: {}", String::from_utf8_lossy(end)),
            (1, kind) => {
                self.ends += u64::from(kind == b"en");
                self.states += 1;
                self.state_bytes += (self.header.len() + self.seen) as u64;
                self.payload_bytes += self.seen as u64;
            }
            (8, _) => panic!("the server closed the connection"),
            (9, _) => self.pings += 1,
            _ => {}
        }
        self.header.clear();
        self.seen = 0;
    }
}

/// A socket for one command after the other, or one viewer alone.
pub struct Client {
    pub stream: TcpStream,
    pub frames: Frames,
    buffer: Vec<u8>,
}

impl Client {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, frames: Frames::default(), buffer: vec![0; 256 * 1024] }
    }

    /// One that is sent little, for when there are thousands.
    pub fn small(stream: TcpStream) -> Self {
        Self { stream, frames: Frames::default(), buffer: vec![0; 4 * 1024] }
    }

    pub fn send(&mut self, frames: &[u8]) {
        self.stream.write_all(frames).expect("the server takes frames");
    }

    /// Reads once, and answers pings.
    pub fn read(&mut self) {
        let read = self.stream.read(&mut self.buffer).expect("the server answers");
        assert!(read > 0, "the server closed the connection");
        self.frames.feed(&self.buffer[..read]);
        for _ in 0..std::mem::take(&mut self.frames.pings) {
            self.send(&PONG);
        }
    }

    pub fn wait_for_acks(&mut self, acks: u64) {
        while self.frames.acks < acks {
            self.read();
        }
    }

    pub fn send_text(&mut self, body: &Value) {
        let mut frame = Vec::new();
        push_frame(&mut frame, body);
        self.send(&frame);
    }

    pub fn wait_for_ends(&mut self, ends: u64) {
        while self.frames.ends < ends {
            self.read();
        }
    }

    pub fn wait_for_states(&mut self, states: u64) {
        while self.frames.states < states {
            self.read();
        }
    }
}

/// The command that sets one node's status.
pub fn set_status(id: usize, session: &str, node: usize, status: &str) -> Value {
    serde_json::json!({
        "type": "command", "id": id.to_string(), "sessionId": session,
        "command": {"type": "setNodeStatus", "nodeId": format!("n{node}"), "status": status},
    })
}
