//! What viewers share: a committed state or event, with its encodings made once.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;

use relive_session::{Event, Message, Recorded, Revision, Session};

/// Deltas kept per revision, one for each base that viewers were at. Viewers further apart than
/// that are encoded for singly.
const DELTAS: usize = 16;

/// A committed state. The transports encode it; every encoding is made on first demand and then
/// shared by all viewers as cheaply cloned bytes.
#[derive(Debug)]
pub struct Publication {
    session: Arc<Session>,
    snapshot: OnceLock<Bytes>,
    end: OnceLock<Bytes>,
    deltas: Mutex<Vec<(Revision, Option<Bytes>)>>,
}

impl Publication {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self { session, snapshot: OnceLock::new(), end: OnceLock::new(), deltas: Mutex::default() }
    }

    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The snapshot frame, made by `encode` if nobody has asked before.
    pub fn snapshot_frame(&self, encode: impl FnOnce(&Session) -> Bytes) -> Bytes {
        self.snapshot.get_or_init(|| encode(&self.session)).clone()
    }

    /// The frame that says the session has ended.
    pub fn end_frame(&self, encode: impl FnOnce(&Session) -> Bytes) -> Bytes {
        self.end.get_or_init(|| encode(&self.session)).clone()
    }

    /// The frame that leads from `base` to this state; `None` when only a snapshot can say it.
    pub fn delta_frame(
        &self,
        base: &Session,
        encode: impl FnOnce(&Session, &Session) -> Option<Bytes>,
    ) -> Option<Bytes> {
        let mut deltas = self.deltas.lock();
        if let Some((_, frame)) = deltas.iter().find(|(revision, _)| *revision == base.revision) {
            return frame.clone();
        }
        let frame = encode(base, &self.session);
        if deltas.len() < DELTAS {
            deltas.push((base.revision, frame.clone()));
        }
        frame
    }
}

/// A committed event with its frame.
#[derive(Debug)]
pub struct RecordedFrame {
    recorded: Recorded,
    frame: OnceLock<Bytes>,
    message: OnceLock<Bytes>,
}

impl RecordedFrame {
    #[must_use]
    pub fn new(recorded: Recorded) -> Self {
        Self { recorded, frame: OnceLock::new(), message: OnceLock::new() }
    }

    #[must_use]
    pub fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    /// The event frame, made by `encode` if nobody has asked before.
    pub fn frame(&self, encode: impl FnOnce(&Recorded) -> Bytes) -> Bytes {
        self.frame.get_or_init(|| encode(&self.recorded)).clone()
    }

    /// The frame of the message that the event added, made by `encode` if nobody has asked before.
    pub fn message_frame(&self, encode: impl FnOnce(Message) -> Bytes) -> Option<Bytes> {
        let Event::MessageAdded(added) = &self.recorded.event else { return None };
        if let Some(frame) = self.message.get() {
            return Some(frame.clone());
        }
        let message = added.message(self.recorded.session_id, self.recorded.at)?;
        Some(self.message.get_or_init(|| encode(message)).clone())
    }
}
