//! Chunks of messages that are still being written: shown live, on every server, never stored.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use super::{Hub, HubError};
use relive_session::{MessageId, NodeId, Refusal, SessionId, check_chunk};

/// A chunk of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    pub node_id: NodeId,
    pub message_id: MessageId,
    pub text: String,
    pub agent_id: Option<String>,
    pub is_thinking: Option<bool>,
}

/// Where a chunk came to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkOrigin {
    /// At this server.
    Here,
    /// At another one, after `offset` bytes of the message's text. The chunks of one server follow each other
    /// without a gap, or some were lost.
    Peer { server: Uuid, offset: usize },
}

/// Shows chunks to the viewers of a session. Must not block.
pub trait ChunkRelay: Debug + Send + Sync {
    fn show(&self, session_id: SessionId, chunk: Chunk, origin: ChunkOrigin);
}

/// Passes chunks from engines in this process, and from other servers, to viewers. A cheap handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    relay: Arc<OnceLock<Arc<dyn ChunkRelay>>>,
}

impl Chunks {
    pub fn relay_to(&self, relay: Arc<dyn ChunkRelay>) {
        // Later calls are ignored: a hub has one set of viewers.
        let _ = self.relay.set(relay);
    }

    pub fn show(&self, session_id: SessionId, chunk: Chunk, origin: ChunkOrigin) {
        if let Some(relay) = self.relay.get() {
            relay.show(session_id, chunk, origin);
        }
    }
}

impl Hub {
    /// Sets the relay that chunks go to. Only the first call has an effect.
    pub fn relay_chunks_to(&self, relay: Arc<dyn ChunkRelay>) {
        self.inner.chunks.relay_to(relay);
    }

    /// Shows a chunk of a message that is still being written to the viewers of the session, on every server.
    pub fn show_chunk(&self, id: SessionId, chunk: Chunk) {
        self.announce_chunk(id, &chunk);
        self.inner.chunks.show(id, chunk, ChunkOrigin::Here);
    }

    /// Sends a chunk to the other servers only.
    pub fn announce_chunk(&self, id: SessionId, chunk: &Chunk) {
        self.inner.notices.chunk(id, chunk);
    }

    /// Checks a chunk as the message that it becomes will be: in the state that commands under way lead to; and before
    /// it is refused, in that which other servers have committed. Of a session that is not in memory, nothing is known.
    ///
    /// # Errors
    ///
    /// The [`Refusal`], and [`HubError::Unavailable`].
    pub async fn check_chunk(&self, id: SessionId, chunk: &Chunk) -> Result<(), HubError> {
        check_chunk(&chunk.node_id, chunk.agent_id.as_deref(), &chunk.text)?;
        let Some(live) = self.inner.registry.peek(id) else { return Ok(()) };
        match live.check_node(&chunk.node_id) {
            Err(Refusal::UnknownNode { .. }) if self.has_peers() => {
                self.inner.remote_sync.sync_with_store(&live).await?;
                Ok(live.check_node(&chunk.node_id)?)
            }
            checked => Ok(checked?),
        }
    }

    /// Whether there may be viewers on another server.
    #[must_use]
    pub fn has_peers(&self) -> bool {
        self.inner.notices.has_peers()
    }
}
