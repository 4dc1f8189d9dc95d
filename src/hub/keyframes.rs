//! Writes keyframes (whole states), beside the write path and without delaying it.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::store::Store;
use relive_session::{Keyframe, Session};

/// Keyframes waiting to be written. When the queue is full, further ones are skipped: the next interval
/// brings another.
const QUEUE: usize = 64;

/// Queues keyframes that are due.
#[derive(Clone, Debug)]
pub(super) struct Keyframes {
    sender: mpsc::Sender<Arc<Session>>,
}

impl Keyframes {
    /// Queues `after` when a keyframe has become due since `before`.
    pub fn consider(&self, before: &Session, after: &Arc<Session>) {
        if Keyframe::is_due(before.revision, after) {
            // If the queue is full, this one is skipped: see `QUEUE`.
            let _ = self.sender.try_send(Arc::clone(after));
        }
    }
}

pub(super) fn spawn(store: Arc<dyn Store>, tasks: &TaskTracker, stop: CancellationToken) -> Keyframes {
    let (sender, mut receiver) = mpsc::channel::<Arc<Session>>(QUEUE);
    tasks.spawn(async move {
        while let Some(Some(session)) = stop.run_until_cancelled(receiver.recv()).await {
            if let Err(error) = store.store_keyframe(&session).await {
                error.log("a keyframe could not be stored");
            }
        }
    });
    Keyframes { sender }
}
