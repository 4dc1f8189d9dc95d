//! What viewers share: a committed state or event, with its encodings made once.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::value::{RawValue, to_raw_value};

use crate::spans::Broadcast;
use relive_session::{Recorded, Revision, Session, Text, Texts};

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
    /// Records the way to the viewers, until their room takes it.
    broadcast: Mutex<Option<Arc<Broadcast>>>,
}

impl Publication {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Self {
            session,
            snapshot: OnceLock::new(),
            end: OnceLock::new(),
            deltas: Mutex::default(),
            broadcast: Mutex::default(),
        }
    }

    pub(super) fn broadcast(self, broadcast: Option<Arc<Broadcast>>) -> Self {
        Self { broadcast: Mutex::new(broadcast), ..self }
    }

    /// What records the way to the viewers, if that is recorded: once, for their room.
    #[must_use]
    pub fn take_broadcast(&self) -> Option<Arc<Broadcast>> {
        self.broadcast.lock().take()
    }

    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The snapshot frame, made by `encode` on first use.
    pub fn snapshot_frame(&self, encode: impl FnOnce(&Session) -> Bytes) -> Bytes {
        self.snapshot.get_or_init(|| encode(&self.session)).clone()
    }

    /// The frame that says the session has ended.
    pub fn end_frame(&self, encode: impl FnOnce(&Session) -> Bytes) -> Bytes {
        self.end.get_or_init(|| encode(&self.session)).clone()
    }

    /// The frame that leads from `base` to this state; `None` if only a snapshot can express it.
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

/// An event on its way to the journal and then to viewers. Its JSON, which is the same for both, is encoded
/// once: for the commit, or for the first viewer of an event that another server committed.
#[derive(Debug)]
pub struct RecordedFrame {
    recorded: Recorded,
    /// Kept until the frame holds it.
    json: Mutex<Option<Arc<RawValue>>>,
    frame: OnceLock<Bytes>,
    text: OnceLock<Bytes>,
}

impl RecordedFrame {
    #[must_use]
    pub fn new(recorded: Recorded) -> Self {
        Self { recorded, json: Mutex::default(), frame: OnceLock::new(), text: OnceLock::new() }
    }

    #[must_use]
    pub fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    /// The event as JSON, without the text of a message, log line or memory: that has a row and a frame of its own.
    ///
    /// # Errors
    ///
    /// If it cannot be encoded as JSON.
    pub(super) fn json(&self) -> serde_json::Result<Arc<RawValue>> {
        let mut json = self.json.lock();
        if let Some(json) = &*json {
            return Ok(Arc::clone(json));
        }
        let made: Arc<RawValue> = to_raw_value(&self.recorded.event)?.into();
        Ok(Arc::clone(json.insert(made)))
    }

    /// The event frame, made by `encode` from the event's JSON on first use.
    pub fn frame(&self, encode: impl FnOnce(&Recorded, serde_json::Result<&RawValue>) -> Bytes) -> Bytes {
        let make = || {
            let json = self.json();
            *self.json.lock() = None;
            match json {
                Ok(json) => encode(&self.recorded, Ok(&json)),
                Err(error) => encode(&self.recorded, Err(error)),
            }
        };
        self.frame.get_or_init(make).clone()
    }

    /// The frame of the text that the event added, if it is wanted, made by `encode` on first use.
    pub fn text_frame(&self, wanted: Texts, encode: impl FnOnce(Text) -> Bytes) -> Option<Bytes> {
        if !wanted.wants(&self.recorded.event) {
            return None;
        }
        if let Some(frame) = self.text.get() {
            return Some(frame.clone());
        }
        let text = self.recorded.text()?;
        Some(self.text.get_or_init(|| encode(text)).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relive_session::{Event, SessionId, Timestamp};
    use serde_json::json;

    #[test]
    fn an_event_is_encoded_once_for_the_commit_and_for_its_frame() {
        let event = Event::ContextSet { key: "k".to_owned(), value: Arc::new(json!({"a": [1, 2.50]})) };
        let recorded =
            Recorded { session_id: SessionId::generate(), revision: 2, at: Timestamp::now(), by: None, event };
        let frame = RecordedFrame::new(recorded);
        let committed = frame.json().expect("JSON");
        assert_eq!(committed.get(), serde_json::to_string(&frame.recorded().event).expect("JSON"));
        assert!(Arc::ptr_eq(&committed, &frame.json().expect("JSON")), "encoded again for another try");
        let mut embedded = std::ptr::null();
        let shown = frame.frame(|_, json| {
            let json = json.expect("JSON");
            embedded = json.get().as_ptr();
            Bytes::copy_from_slice(json.get().as_bytes())
        });
        assert_eq!(embedded, committed.get().as_ptr(), "encoded again for viewers");
        assert_eq!(shown, committed.get().as_bytes());
        assert!(frame.json.lock().is_none(), "kept although the frame holds it");
    }
}
