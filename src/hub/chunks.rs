//! Chunks of messages that are still being written: shown live, never stored.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use super::Hub;
use relive_session::{MessageId, NodeId, SessionId};

/// A chunk of a message.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub node_id: NodeId,
    pub message_id: MessageId,
    pub text: String,
    pub agent_id: Option<String>,
    pub is_thinking: Option<bool>,
}

/// Shows chunks to the viewers of a session. Must not block.
pub trait ChunkRelay: Debug + Send + Sync {
    fn show(&self, session_id: SessionId, chunk: Chunk);
}

/// Passes chunks from engines in this process to viewers.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    relay: OnceLock<Arc<dyn ChunkRelay>>,
}

impl Chunks {
    pub fn relay_to(&self, relay: Arc<dyn ChunkRelay>) {
        // Later calls are ignored: a hub has one set of viewers.
        let _ = self.relay.set(relay);
    }

    pub fn show(&self, session_id: SessionId, chunk: Chunk) {
        if let Some(relay) = self.relay.get() {
            relay.show(session_id, chunk);
        }
    }
}

impl Hub {
    /// Sets the relay that chunks go to. Only the first call has an effect.
    pub fn relay_chunks_to(&self, relay: Arc<dyn ChunkRelay>) {
        self.inner.chunks.relay_to(relay);
    }

    /// Shows a chunk of a message that is still being written to the viewers of the session.
    pub fn show_chunk(&self, id: SessionId, chunk: Chunk) {
        self.inner.chunks.show(id, chunk);
    }
}
