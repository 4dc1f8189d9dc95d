//! A session's events as a stream.

use super::{ClientError, Subscription};
use relive_protocol::ServerFrame;
use relive_session::{Recorded, SessionId};

/// Each event of a session, once and in order. Dropping it ends the subscription.
#[derive(Debug)]
pub struct SessionEvents {
    session_id: SessionId,
    frames: Subscription,
    ended: bool,
}

impl SessionEvents {
    pub(super) fn new(session_id: SessionId, frames: Subscription) -> Self {
        Self { session_id, frames, ended: false }
    }

    /// The next event; `None` once the session has ended. Cancel-safe.
    ///
    /// # Errors
    ///
    /// If the stream cannot continue, such as for a session that was deleted.
    pub async fn next(&mut self) -> Result<Option<Recorded>, ClientError> {
        while !self.ended {
            match self.frames.next().await {
                Some(Ok(ServerFrame::Event { session_id, revision, at, by, event })) => {
                    return Ok(Some(Recorded { session_id, revision, at, by, event }));
                }
                Some(Ok(ServerFrame::End { .. })) => self.ended = true,
                // The server is behind the client: it was restored from a backup.
                Some(Ok(ServerFrame::Snapshot { revision, .. })) => {
                    let problem = format!("session {} went back to revision {revision}", self.session_id);
                    return Err(ClientError::Protocol(problem));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(ClientError::Gone),
            }
        }
        Ok(None)
    }
}
