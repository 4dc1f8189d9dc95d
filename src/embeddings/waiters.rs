//! Requests that wait for the embedding of a memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

/// How long an answer waits for an embedding. A model takes a few hundred milliseconds, and clients want to
/// find a new memory by vector at once, but the wait must be short.
const EMBEDDING_TIMEOUT: Duration = Duration::from_secs(3);

/// Memories that are waited for. While the endpoint is down there is no waiting.
#[derive(Clone, Debug, Default)]
pub(super) struct EmbeddingWaiters {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    expected: HashMap<Uuid, oneshot::Sender<()>>,
    down: bool,
}

/// The future embedding of one memory. Dropping it cancels the wait.
#[derive(Debug)]
pub struct Arrival(Option<Waiting>);

#[derive(Debug)]
struct Waiting {
    id: Uuid,
    waiters: EmbeddingWaiters,
    receiver: oneshot::Receiver<()>,
}

impl EmbeddingWaiters {
    pub fn expect(&self, id: Uuid) -> Arrival {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock();
        if state.down {
            return Arrival::never();
        }
        state.expected.insert(id, sender);
        Arrival(Some(Waiting { id, waiters: self.clone(), receiver }))
    }

    /// These memories have their embeddings, durably.
    pub fn stored(&self, ids: impl Iterator<Item = Uuid>) {
        let mut state = self.state.lock();
        state.down = false;
        for id in ids {
            if let Some(sender) = state.expected.remove(&id) {
                // The receiver may be gone.
                let _ = sender.send(());
            }
        }
    }

    /// Nothing will arrive for a while. False if that was known.
    pub fn endpoint_is_down(&self) -> bool {
        let mut state = self.state.lock();
        state.expected.clear();
        !std::mem::replace(&mut state.down, true)
    }

    /// This one will not arrive soon.
    pub fn given_up(&self, id: Uuid) {
        self.state.lock().expected.remove(&id);
    }
}

impl Arrival {
    pub(super) fn never() -> Self {
        Self(None)
    }

    /// Waits briefly for the embedding; returns whether it has arrived.
    pub async fn soon(mut self) -> bool {
        let Some(waiting) = &mut self.0 else { return false };
        matches!(tokio::time::timeout(EMBEDDING_TIMEOUT, &mut waiting.receiver).await, Ok(Ok(())))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiters.given_up(self.id);
    }
}
