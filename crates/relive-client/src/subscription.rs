//! The handle on a subscription.

use tokio::sync::mpsc;

use super::ClientError;
use super::connection::Request;
use super::subscriptions::Frames;
use relive_protocol::ServerFrame;

/// The frames of one session. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    frames: Frames,
    /// Keeps the connection open.
    _requests: mpsc::Sender<Request>,
}

impl Subscription {
    pub(super) fn new(frames: Frames, requests: mpsc::Sender<Request>) -> Self {
        Self { frames, _requests: requests }
    }

    /// The next frame; `None` after the session's `end`. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Once, and last, if the subscription cannot continue.
    pub async fn next(&mut self) -> Option<Result<ServerFrame, ClientError>> {
        self.frames.next().await
    }
}
