//! The bytes of a WebSocket: read as the server reads them, in whatever pieces they come, and compared with a
//! reading of RFC 6455 of our own.

use std::io::{self, Read, Write};

use relive::fuzzing;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{MIB, Target, kind_of, outcome, pieces};
use crate::mutate::frames::{self, Frame};

pub const TARGET: Target = Target { name: "sockets", share: 150, memory: 8 * MIB, change: frames::change, check };

const MESSAGE: usize = MIB;

#[derive(Clone, Debug, PartialEq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
}

fn check(input: &[u8]) -> u64 {
    let expected = read_by_hand(input);
    let (whole, end) = read(vec![input]);
    let (in_pieces, same_end) = read(pieces(input));
    assert_eq!((&whole, &end), (&in_pieces, &same_end), "it depends on how the bytes come");
    let short =
        |said: &[Said]| said.iter().map(|said| format!("{said:?}").chars().take(80).collect()).collect::<Vec<String>>();
    assert!(whole == expected, "read {:?}, not {:?}", short(&whole), short(&expected));
    outcome((whole.len().min(6), end))
}

/// What the server reads, up to the end or the first error; and that error.
fn read(pieces: Vec<&[u8]>) -> (Vec<Said>, String) {
    let stream = Pieces { pieces, written: Vec::new() };
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(fuzzing::reader()));
    let mut said = Vec::new();
    let end = loop {
        match socket.read() {
            Ok(Message::Text(text)) => said.push(Said::Text(text.to_string())),
            Ok(Message::Binary(bytes)) => said.push(Said::Binary(bytes.to_vec())),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(!matches!(end, Error::Io(_)), "{end}");
    // Answers to control frames are whole frames, short and without a mask.
    let mut written = socket.get_ref().written.as_slice();
    while !written.is_empty() {
        let frame = Frame::read(&mut written).expect("whole frames are written");
        assert!(frame.mask.is_none() && matches!(frame.first, 0x88 | 0x8a) && frame.payload.len() <= 125, "{frame:?}");
    }
    for said in &said {
        let length = match said {
            Said::Text(text) => text.len(),
            Said::Binary(bytes) => bytes.len(),
        };
        assert!(length <= MESSAGE, "a message of {length} bytes");
    }
    (said, kind_of(&end.to_string()))
}

struct Pieces<'a> {
    pieces: Vec<&'a [u8]>,
    written: Vec<u8>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.first_mut() else { return Ok(0) };
        let read = piece.read(buffer)?;
        if piece.is_empty() {
            self.pieces.remove(0);
        }
        Ok(read)
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The messages up to the end, a close, or the first breach of the protocol.
fn read_by_hand(mut bytes: &[u8]) -> Vec<Said> {
    let (mut all, mut open): (Vec<Said>, Option<(bool, Vec<u8>)>) = (Vec::new(), None);
    while let Some(frame) = Frame::read(&mut bytes) {
        let is_control = frame.kind() >= 8;
        if frame.first & 0x70 != 0 || frame.mask.is_none() || !matches!(frame.kind(), 0 | 1 | 2 | 8 | 9 | 10) {
            break;
        }
        if is_control {
            if !frame.is_last() || frame.payload.len() > 125 || frame.kind() == 8 {
                break;
            }
            continue;
        }
        let (is_text, mut said) = match (frame.kind(), open.take()) {
            (0, Some(open)) => open,
            (kind @ 1..=2, None) => (kind == 1, Vec::new()),
            _ => break,
        };
        said.extend(&frame.payload);
        if said.len() > MESSAGE {
            break;
        }
        if !frame.is_last() {
            open = Some((is_text, said));
        } else if is_text {
            let Ok(text) = String::from_utf8(said) else { break };
            all.push(Said::Text(text));
        } else {
            all.push(Said::Binary(said));
        }
    }
    all
}
