//! Messages that are still being written: live chunks of text, never stored.
//!
//! A room keeps the text so far of each such message, and each viewer an offset into it. A client that is
//! busy when chunks arrive is later sent them joined into one; one that joins late is sent the text from its
//! beginning. Memory depends on the text and not on the number of viewers or chunks. The finished text
//! arrives as a stored message, whatever was missed here.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::sync::Weak;

use super::client::Client;
use super::frames;
use super::socket::Socket;
use crate::hub::{Chunk, ChunkOrigin};
use crate::sync::Mutex;
use bytes::Bytes;
use relive_protocol::ServerFrame;
use relive_session::{MessageId, SessionId};
use uuid::Uuid;

/// Messages being written in one session at once. Beyond it the oldest is dropped.
const STREAMS: usize = 64;
/// Bytes of text kept for one session. A message that would exceed it is not shown until it is stored.
const TEXT_BYTES: usize = 1024 * 1024;
/// Ids of finished messages kept, so that a late chunk does not start them again.
const FINISHED: usize = 64;

/// A client's offset in the text of each message, in bytes.
pub(super) type Offsets = HashMap<MessageId, usize>;

/// The messages being written in one session.
#[derive(Debug)]
pub(super) struct PartialMessages {
    session_id: SessionId,
    /// Locked to append a chunk or to read one; never while writing to a socket.
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    streams: VecDeque<Stream>,
    bytes: usize,
    finished: VecDeque<MessageId>,
}

#[derive(Debug)]
struct Stream {
    chunk: Chunk,
    /// The writer's own connection, which is not sent its chunks back. A weak reference; never set for a writer
    /// in this process.
    writer: Weak<Socket>,
    /// The other server that sent the last chunk, and the offset that its next one has to have.
    peer: Option<(Uuid, usize)>,
    /// The chunk that was last read, for all viewers at the same offset.
    cut: Option<(usize, Bytes)>,
}

impl PartialMessages {
    pub fn new(session_id: SessionId) -> Self {
        Self { session_id, inner: Mutex::default() }
    }

    /// Appends a chunk; false if it is dropped: the message is finished or too long, or a chunk before this one
    /// was lost on its way from another server.
    pub fn push(&self, chunk: Chunk, origin: ChunkOrigin, writer: Weak<Socket>) -> bool {
        self.inner.lock().push(chunk, origin, writer)
    }

    /// The message was stored: its chunks are not needed any more.
    pub fn finish(&self, message_id: &MessageId) {
        self.inner.lock().finish(message_id);
    }

    /// The session has ended: no message is being written any more.
    pub fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.streams.clear();
        inner.bytes = 0;
    }

    /// What a client is missing: for each message one frame with all text from its offset on, and
    /// the new offset.
    pub fn missing(&self, offsets: &mut Offsets, client: &Client) -> Vec<(MessageId, usize, Bytes)> {
        let mut inner = self.inner.lock();
        if !offsets.is_empty() {
            offsets.retain(|id, _| inner.streams.iter().any(|stream| stream.chunk.message_id == *id));
        }
        let others = inner.streams.iter_mut().filter(|stream| !client.is_socket(&stream.writer));
        others
            .filter_map(|stream| {
                let (id, length) = (stream.chunk.message_id.clone(), stream.chunk.text.len());
                let offset = offsets.get(&id).copied().unwrap_or(0);
                (offset < length).then(|| (id, length, stream.from(offset, self.session_id)))
            })
            .collect()
    }
}

impl Inner {
    /// As [`PartialMessages::push`].
    fn push(&mut self, chunk: Chunk, origin: ChunkOrigin, writer: Weak<Socket>) -> bool {
        if self.finished.contains(&chunk.message_id) || chunk.text.is_empty() {
            return false;
        }
        let place = self.streams.iter().position(|stream| stream.chunk.message_id == chunk.message_id);
        let follows = place.and_then(|place| self.streams.get(place)).map_or(Follows::Next, |it| it.follows(origin));
        match follows {
            Follows::Next => {}
            Follows::Again => return false,
            Follows::AfterAGap => {
                self.finish(&chunk.message_id);
                return false;
            }
        }
        if self.bytes + chunk.text.len() > TEXT_BYTES {
            self.finish(&chunk.message_id);
            return false;
        }
        self.bytes += chunk.text.len();
        let peer = match origin {
            ChunkOrigin::Here => None,
            ChunkOrigin::Peer { server, offset } => Some((server, offset + chunk.text.len())),
        };
        if let Some(stream) = place.and_then(|place| self.streams.get_mut(place)) {
            stream.chunk.text.push_str(&chunk.text);
            stream.peer = peer;
            stream.cut = None;
            return true;
        }
        self.streams.push_back(Stream { chunk, writer, peer, cut: None });
        if self.streams.len() > STREAMS
            && let Some(oldest) = self.streams.front().map(|stream| stream.chunk.message_id.clone())
        {
            self.finish(&oldest);
        }
        true
    }

    fn finish(&mut self, message_id: &MessageId) {
        if self.finished.contains(message_id) {
            return;
        }
        if let Some(place) = self.streams.iter().position(|stream| stream.chunk.message_id == *message_id)
            && let Some(stream) = self.streams.remove(place)
        {
            self.bytes -= stream.chunk.text.len();
        }
        self.finished.push_back(message_id.clone());
        if self.finished.len() > FINISHED {
            self.finished.pop_front();
        }
    }
}

/// How a chunk follows what is there of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    Next,
    /// It is there already.
    Again,
    AfterAGap,
}

impl Stream {
    fn follows(&self, origin: ChunkOrigin) -> Follows {
        let (ChunkOrigin::Peer { server, offset }, Some((last, next))) = (origin, self.peer) else {
            return Follows::Next;
        };
        match offset.cmp(&next) {
            // Each server counts what was sent to itself.
            _ if server != last => Follows::Next,
            Ordering::Equal => Follows::Next,
            Ordering::Less => Follows::Again,
            Ordering::Greater => Follows::AfterAGap,
        }
    }

    /// Offsets are always at the end of a chunk, so the text is never cut inside a character.
    fn from(&mut self, offset: usize, session_id: SessionId) -> Bytes {
        if let Some((from, frame)) = &self.cut
            && *from == offset
        {
            return frame.clone();
        }
        let Chunk { node_id, message_id, text, agent_id, is_thinking } = &self.chunk;
        let frame = frames::text(&ServerFrame::Token {
            session_id,
            node_id: node_id.clone(),
            message_id: message_id.clone(),
            text: text.get(offset..).unwrap_or_default().to_owned(),
            agent_id: agent_id.clone(),
            is_thinking: *is_thinking,
        });
        self.cut = Some((offset, frame.clone()));
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &str) -> Chunk {
        let message_id = MessageId::new("m").expect("an id");
        Chunk { node_id: "n".into(), message_id, text: text.to_owned(), agent_id: None, is_thinking: None }
    }

    fn text(messages: &Inner) -> Option<String> {
        messages.streams.front().map(|stream| stream.chunk.text.clone())
    }

    #[test]
    fn chunks_of_another_server_are_shown_once_each_until_one_is_missing() {
        let mut messages = Inner::default();
        let server = Uuid::now_v7();
        let push = |messages: &mut Inner, text: &str, offset| {
            messages.push(chunk(text), ChunkOrigin::Peer { server, offset }, Weak::new())
        };
        // Whoever comes late begins where the others are.
        assert!(push(&mut messages, "two ", 4));
        assert!(!push(&mut messages, "two ", 4));
        assert!(push(&mut messages, "three", 8));
        assert_eq!(text(&messages).as_deref(), Some("two three"));
        assert!(!push(&mut messages, "five", 18));
        assert_eq!(text(&messages), None);
        assert!(!push(&mut messages, "six", 22), "the rest is shown when it is stored");
    }

    #[test]
    fn a_writer_may_change_to_another_server() {
        let mut messages = Inner::default();
        let [first, second] = [(); 2].map(|()| Uuid::now_v7());
        let origins = [
            ChunkOrigin::Peer { server: first, offset: 0 },
            ChunkOrigin::Peer { server: second, offset: 0 },
            ChunkOrigin::Here,
            ChunkOrigin::Peer { server: second, offset: 7 },
        ];
        for (origin, part) in origins.into_iter().zip(["a", "b", "c", "d"]) {
            assert!(messages.push(chunk(part), origin, Weak::new()));
        }
        assert_eq!(text(&messages).as_deref(), Some("abcd"));
    }
}
