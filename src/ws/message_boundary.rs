//! Where what a client has sent so far ends: between two messages, or within one; and how a message begins that is
//! too large to be read.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The longest header of a frame: two bytes, eight of length, four of mask.
const HEADER: usize = 14;

/// Bytes that are kept of a message that may be too large: its ids stand there, if it has any.
const KEPT: usize = 4 * 1024;

/// Follows the frames of a stream without understanding what is in them. Whether they are valid is for the reader
/// to say: after a header that is not, the stream stays within a message.
#[derive(Debug, Default)]
pub(super) struct MessageBoundary {
    /// The beginning of a header that has not arrived whole.
    header: [u8; HEADER],
    header_bytes: usize,
    /// What has yet to arrive of the last frame.
    payload: u64,
    /// The last frame of data was not the last one of its message.
    is_fragmented: bool,
    /// The client has ended the connection, or sends something else than frames.
    is_over: bool,
    /// The largest message that is read.
    largest: u64,
    /// The beginning of a message that is larger, or that comes in fragments, so that it may be.
    beginning: Vec<u8>,
    /// Whether the payload of the last frame belongs to that; and its mask, with the position there.
    is_kept: bool,
    mask: [u8; 4],
    position: usize,
}

impl MessageBoundary {
    pub fn new(largest: usize) -> Self {
        Self { largest: largest as u64, ..Self::default() }
    }

    /// How the message begins that is too large, as far as that has arrived.
    pub fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    /// Whether more of that beginning is to arrive with the last frame.
    pub fn lacks_beginning(&self) -> bool {
        self.is_kept && self.payload > 0 && self.beginning.len() < KEPT
    }

    /// Whether nothing of a message has arrived that is not complete.
    pub fn is_between_messages(&self) -> bool {
        self.header_bytes == 0 && self.payload == 0 && !self.is_fragmented && !self.is_over
    }

    /// Follows the bytes that have arrived.
    pub fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_over {
            let skipped = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
            self.payload -= skipped as u64;
            if self.is_kept {
                self.keep(&bytes[..skipped]);
            }
            bytes = &bytes[skipped..];
            if !bytes.is_empty() {
                bytes = &bytes[self.read_header(bytes)..];
            }
        }
    }

    fn keep(&mut self, payload: &[u8]) {
        let kept = payload.len().min(KEPT - self.beginning.len());
        let mask = self.mask.iter().cycle().skip(self.position % 4);
        self.beginning.extend(payload[..kept].iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        self.position += kept;
    }

    /// Returns how many of the bytes belong to the header.
    fn read_header(&mut self, bytes: &[u8]) -> usize {
        let added = bytes.len().min(HEADER - self.header_bytes);
        let end = self.header_bytes + added;
        self.header[self.header_bytes..end].copy_from_slice(&bytes[..added]);
        let mut cursor = Cursor::new(&self.header[..end]);
        match FrameHeader::parse(&mut cursor) {
            Ok(Some((header, payload))) => {
                // At most the length of a header.
                let read = usize::try_from(cursor.position()).unwrap_or(end) - self.header_bytes;
                self.header_bytes = 0;
                self.begin(&header, payload);
                read
            }
            Ok(None) if end < HEADER => {
                self.header_bytes = end;
                added
            }
            Ok(None) | Err(_) => {
                self.is_over = true;
                added
            }
        }
    }

    fn begin(&mut self, header: &FrameHeader, payload: u64) {
        self.payload = payload;
        let is_first = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        if is_first {
            self.beginning.clear();
        }
        let goes_on = self.is_fragmented && header.opcode == OpCode::Data(Data::Continue);
        self.is_kept = goes_on || is_first && (!header.is_final || payload > self.largest);
        (self.mask, self.position) = (header.mask.unwrap_or_default(), 0);
        match header.opcode {
            OpCode::Data(Data::Text | Data::Binary | Data::Continue) => self.is_fragmented = !header.is_final,
            OpCode::Control(Control::Close) | OpCode::Data(Data::Reserved(_)) => self.is_over = true,
            OpCode::Control(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(opcode: OpCode, is_final: bool, payload: usize) -> Vec<u8> {
        let header = FrameHeader { opcode, is_final, mask: Some([1, 2, 3, 4]), ..FrameHeader::default() };
        let mut bytes = Vec::new();
        header.format(payload as u64, &mut bytes).expect("a header");
        bytes.resize(bytes.len() + payload, 0);
        bytes
    }

    /// A message of `sizes.len()` frames, with a ping after the first.
    fn message(sizes: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            let data = if index == 0 { Data::Text } else { Data::Continue };
            bytes.extend(frame(OpCode::Data(data), index + 1 == sizes.len(), *size));
            if index == 0 {
                bytes.extend(frame(OpCode::Control(Control::Ping), true, 5));
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn it_is_between_messages_only_after_whole_ones(
            sizes in prop::collection::vec(prop::collection::vec(prop_oneof![0..3usize, 120..130usize, 65_530..65_540usize], 1..4), 1..5),
            step in 1..200usize,
        ) {
            let mut ends = std::collections::HashSet::from([0]);
            let mut stream = Vec::new();
            for sizes in &sizes {
                let start = stream.len();
                stream.extend(message(sizes));
                if sizes.len() == 1 {
                    // Before the ping.
                    ends.insert(start + frame(OpCode::Data(Data::Text), true, sizes[0]).len());
                }
                ends.insert(stream.len());
            }
            let mut boundary = MessageBoundary::default();
            let mut read = 0;
            for bytes in stream.chunks(step) {
                boundary.advance(bytes);
                read += bytes.len();
                prop_assert_eq!(boundary.is_between_messages(), ends.contains(&read), "after {} bytes", read);
            }
        }
    }

    #[test]
    fn of_a_message_that_is_too_large_the_beginning_is_kept() {
        let text: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let masked = |opcode, is_final, payload: &[u8]| {
            let mut bytes = frame(opcode, is_final, payload.len());
            let header = bytes.len() - payload.len();
            let masked = payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask);
            bytes.splice(header.., masked);
            bytes
        };
        let large = masked(OpCode::Data(Data::Text), true, &text);
        let fragments = [
            masked(OpCode::Data(Data::Text), false, &text[..7]),
            masked(OpCode::Control(Control::Ping), true, b"ping"),
            masked(OpCode::Data(Data::Continue), true, &text[7..]),
        ];
        for stream in [large, fragments.concat()] {
            for step in [1, 3, 1_000, 20_000] {
                let mut boundary = MessageBoundary::new(100);
                boundary.advance(&masked(OpCode::Data(Data::Text), true, &[0; 100]));
                assert!(boundary.beginning().is_empty() && !boundary.lacks_beginning());
                stream.chunks(step).for_each(|bytes| boundary.advance(bytes));
                assert!(!boundary.lacks_beginning());
                assert_eq!(boundary.beginning(), &text[..KEPT]);
            }
        }
    }

    #[test]
    fn after_a_close_frame_or_something_else_it_never_is() {
        for bytes in
            [frame(OpCode::Control(Control::Close), true, 2), vec![0xf3, 0xff, 0, 0], vec![0x83, 0x80, 0, 0, 0, 0]]
        {
            let mut boundary = MessageBoundary::default();
            boundary.advance(&bytes);
            boundary.advance(&frame(OpCode::Control(Control::Ping), true, 0));
            assert!(!boundary.is_between_messages(), "{bytes:?}");
        }
    }
}
