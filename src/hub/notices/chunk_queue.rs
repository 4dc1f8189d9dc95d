//! Chunks of messages that are yet to be sent to other servers: gathered for a moment, those of one message
//! joined into one.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::hub::Chunk;
use relive_session::{MessageId, SessionId};

/// Bytes of text queued at most. What comes beyond it is dropped, and its messages are shown elsewhere when
/// they are stored.
const BYTES: usize = 1024 * 1024;
/// Messages whose length is remembered. Of one that was forgotten other servers miss the rest.
const MESSAGES: usize = 4_096;

type Key = (SessionId, MessageId);

/// A chunk for other servers, after `offset` bytes of its message's text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UnsentChunk {
    pub session_id: SessionId,
    pub chunk: Chunk,
    pub offset: usize,
}

#[derive(Debug, Default)]
pub(super) struct ChunkQueue {
    inner: Mutex<Inner>,
    queued_signal: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Oldest first.
    queued: VecDeque<(Instant, UnsentChunk)>,
    bytes: usize,
    /// The length of each message's text so far.
    lengths: HashMap<Key, usize>,
    /// The same messages, oldest first.
    order: VecDeque<Key>,
}

impl ChunkQueue {
    pub fn push(&self, session_id: SessionId, chunk: &Chunk, now: Instant) {
        if chunk.text.is_empty() {
            return;
        }
        self.inner.lock().push(session_id, chunk, now);
        self.queued_signal.notify_one();
    }

    /// Waits until a chunk has been queued for this long. Cancel-safe.
    pub async fn due(&self, gathered: Duration) {
        loop {
            let oldest = self.inner.lock().queued.front().map(|(since, _)| *since);
            match oldest {
                Some(since) => return sleep_until(since + gathered).await,
                None => self.queued_signal.notified().await,
            }
        }
    }

    /// Removes the chunks that were queued for this long.
    pub fn take_due(&self, gathered: Duration, now: Instant) -> Vec<UnsentChunk> {
        let mut inner = self.inner.lock();
        let due = inner.queued.partition_point(|(since, _)| *since + gathered <= now);
        let chunks: Vec<_> = inner.queued.drain(..due).map(|(_, chunk)| chunk).collect();
        inner.bytes -= chunks.iter().map(|unsent| unsent.chunk.text.len()).sum::<usize>();
        chunks
    }
}

impl Inner {
    fn push(&mut self, session_id: SessionId, chunk: &Chunk, now: Instant) {
        let offset = self.advance((session_id, chunk.message_id.clone()), chunk.text.len());
        if self.bytes + chunk.text.len() > BYTES {
            return;
        }
        self.bytes += chunk.text.len();
        let joins = |unsent: &UnsentChunk| {
            unsent.session_id == session_id
                && unsent.chunk.message_id == chunk.message_id
                && unsent.offset + unsent.chunk.text.len() == offset
        };
        match self.queued.iter_mut().rev().find(|(_, unsent)| joins(unsent)) {
            Some((_, unsent)) => unsent.chunk.text.push_str(&chunk.text),
            None => self.queued.push_back((now, UnsentChunk { session_id, chunk: chunk.clone(), offset })),
        }
    }

    /// Adds to a message's length, and returns what it was.
    fn advance(&mut self, key: Key, bytes: usize) -> usize {
        if let Some(length) = self.lengths.get_mut(&key) {
            *length += bytes;
            return *length - bytes;
        }
        if self.order.len() >= MESSAGES
            && let Some(oldest) = self.order.pop_front()
        {
            self.lengths.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.lengths.insert(key, bytes);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relive_session::NodeId;

    const GATHERED: Duration = Duration::from_millis(50);

    fn chunk(message: &str, text: &str) -> Chunk {
        Chunk {
            node_id: NodeId::from("n"),
            message_id: MessageId::new(message).expect("an id"),
            text: text.to_owned(),
            agent_id: None,
            is_thinking: None,
        }
    }

    fn texts(chunks: &[UnsentChunk]) -> Vec<(&str, usize)> {
        chunks.iter().map(|unsent| (unsent.chunk.text.as_str(), unsent.offset)).collect()
    }

    #[test]
    fn chunks_of_a_message_are_joined_until_they_are_due() {
        let (queue, id, start) = (ChunkQueue::default(), SessionId::generate(), Instant::now());
        queue.push(id, &chunk("a", "One "), start);
        queue.push(id, &chunk("b", "Other"), start + GATHERED / 2);
        queue.push(id, &chunk("a", "two"), start + GATHERED / 2);
        assert_eq!(queue.take_due(GATHERED, start + GATHERED / 2), []);
        assert_eq!(texts(&queue.take_due(GATHERED, start + GATHERED)), [("One two", 0)]);
        queue.push(id, &chunk("a", "!"), start + GATHERED);
        assert_eq!(texts(&queue.take_due(GATHERED, start + GATHERED * 2)), [("Other", 0), ("!", 7)]);
    }

    #[test]
    fn what_is_beyond_the_bound_leaves_a_gap() {
        let (queue, id, start) = (ChunkQueue::default(), SessionId::generate(), Instant::now());
        let half = "x".repeat(BYTES / 2);
        for _ in 0..3 {
            queue.push(id, &chunk("a", &half), start);
        }
        let chunks = queue.take_due(GATHERED, start + GATHERED);
        assert_eq!(chunks.iter().map(|unsent| unsent.chunk.text.len()).sum::<usize>(), BYTES);
        queue.push(id, &chunk("a", "end"), start);
        assert_eq!(texts(&queue.take_due(GATHERED, start + GATHERED)), [("end", BYTES / 2 * 3)]);
    }

    #[test]
    fn the_lengths_of_a_bounded_number_of_messages_are_kept() {
        let (queue, id, start) = (ChunkQueue::default(), SessionId::generate(), Instant::now());
        for message in 0..=MESSAGES {
            queue.push(id, &chunk(&message.to_string(), "x"), start);
        }
        let inner = queue.inner.lock();
        assert_eq!((inner.lengths.len(), inner.order.len()), (MESSAGES, MESSAGES));
    }
}
