//! A session's events as a stream.

use super::{ClientError, Subscription};
use relive_protocol::ServerFrame;
use relive_session::{Log, Recorded, SessionId};

/// What has happened in a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    Event(Box<Recorded>),
    /// A log line; the event that added it follows.
    Log(Log),
}

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
        loop {
            match self.next_happening().await? {
                Some(Happening::Event(recorded)) => return Ok(Some(*recorded)),
                Some(Happening::Log(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next event or log line; `None` once the session has ended. Log lines come only from
    /// [`Client::events_and_logs`](crate::Client::events_and_logs). Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`SessionEvents::next`].
    pub async fn next_happening(&mut self) -> Result<Option<Happening>, ClientError> {
        while !self.ended {
            match self.frames.next().await {
                Some(Ok(ServerFrame::Event { session_id, revision, at, by, event })) => {
                    let recorded = Recorded { session_id, revision, at, by, event };
                    return Ok(Some(Happening::Event(Box::new(recorded))));
                }
                Some(Ok(ServerFrame::Log { log, .. })) => return Ok(Some(Happening::Log(log))),
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
