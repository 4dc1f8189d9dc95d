//! Server frames as bytes, including the WebSocket header: made once, written to many sockets.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::frame_ids::FrameIds;
use crate::hub::{HubError, Publication, RecordedFrame};
use crate::storage::{Constraint, StoredEvent};
use relive_protocol::{CloseCode, ErrorCode, Given, ServerFrame, shortened};
use relive_session::{Actor, Revision, Session, SessionId, SessionStatus, Text, Texts, Timestamp, patch_between};

pub(super) const TEXT: u8 = 0x81;
pub(super) const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
/// The longest header of an unmasked frame.
const HEADER: usize = 10;
/// Fits an answer or an event, which most frames are; larger ones grow.
const USUAL: usize = 256;

/// A text frame with `body` as JSON.
pub(super) fn text(body: &impl Serialize) -> Bytes {
    let mut buffer = Vec::with_capacity(USUAL);
    buffer.resize(HEADER, 0);
    if let Err(error) = serde_json::to_writer(&mut buffer, body) {
        return not_encoded(&error);
    }
    with_header(TEXT, buffer)
}

/// In place of a frame. Frames hold string keys and finite numbers only; nothing else can fail.
fn not_encoded(error: &serde_json::Error) -> Bytes {
    tracing::error!(%error, "a frame could not be encoded");
    error_frame(None, None, ErrorCode::Internal, "a frame could not be encoded")
}

/// Writes the header before a payload that starts at [`HEADER`].
fn with_header(opcode: u8, mut buffer: Vec<u8>) -> Bytes {
    let length = buffer.len() - HEADER;
    let start = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => {
            buffer[HEADER - 2..HEADER].copy_from_slice(&[opcode, short]);
            HEADER - 2
        }
        (_, Ok(medium)) => {
            buffer[HEADER - 4..HEADER - 2].copy_from_slice(&[opcode, 126]);
            buffer[HEADER - 2..HEADER].copy_from_slice(&medium.to_be_bytes());
            HEADER - 4
        }
        _ => {
            buffer[..2].copy_from_slice(&[opcode, 127]);
            buffer[2..HEADER].copy_from_slice(&(length as u64).to_be_bytes());
            0
        }
    };
    Bytes::from(buffer).slice(start..)
}

/// A whole frame with these bytes.
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut buffer = Vec::with_capacity(HEADER + payload.len());
    buffer.resize(HEADER, 0);
    buffer.extend_from_slice(payload);
    with_header(opcode, buffer)
}

/// The payload of a text frame: its JSON.
pub(super) fn payload(frame: &Bytes) -> Bytes {
    let header = match frame.get(1) {
        Some(..=125) => 2,
        Some(126) => 4,
        _ => HEADER,
    };
    frame.slice(header.min(frame.len())..)
}

/// The type of a frame: the first member of its JSON.
pub(super) fn kind(json: &[u8]) -> &str {
    let rest = json.strip_prefix(br#"{"type":""#).unwrap_or_default();
    let kind = rest.split(|byte| *byte == b'"').next().unwrap_or_default();
    std::str::from_utf8(kind).unwrap_or_default()
}

pub(super) fn close(code: CloseCode) -> Bytes {
    frame(CLOSE, &[&code.code().to_be_bytes(), code.reason().as_bytes()].concat())
}

pub(super) fn ping() -> Bytes {
    frame(PING, &[])
}

pub(super) fn snapshot(publication: &Publication) -> Bytes {
    publication.snapshot_frame(snapshot_of)
}

pub(super) fn snapshot_of(session: &Session) -> Bytes {
    let (session_id, revision) = (session.id, session.revision);
    text(&ServerFrame::Snapshot { session_id, revision, session: Box::new(session.snapshot()) })
}

/// `None` if a merge patch cannot express it; send the snapshot then.
pub(super) fn delta(publication: &Publication, base: &Session) -> Option<Bytes> {
    publication.delta_frame(base, delta_between)
}

/// As [`delta`], for states that are not shared.
pub(super) fn delta_between(base: &Session, head: &Session) -> Option<Bytes> {
    let patch = patch_between(base, head).ok()?;
    let (session_id, revision) = (head.id, head.revision);
    Some(text(&ServerFrame::Delta { session_id, base: base.revision, revision, patch }))
}

pub(super) fn end(publication: &Publication) -> Bytes {
    publication.end_frame(|session| end_of(session.id, session.status, session.revision))
}

pub(super) fn end_of(session_id: SessionId, status: SessionStatus, revision: Revision) -> Bytes {
    text(&ServerFrame::End { session_id, status, revision })
}

pub(super) fn event(frame: &RecordedFrame) -> Bytes {
    frame.frame(|recorded, event| match event {
        Ok(event) => event_frame(recorded.session_id, recorded.revision, recorded.at, recorded.by.as_deref(), event),
        Err(error) => not_encoded(&error),
    })
}

/// As [`event`], for one whose text comes from the journal: the same bytes, without reading them.
pub(super) fn stored_event(session_id: SessionId, stored: &StoredEvent) -> Bytes {
    event_frame(session_id, stored.revision, stored.at, stored.by.as_deref(), &stored.event)
}

/// `ServerFrame::Event`, of an event that is JSON already.
fn event_frame(
    session_id: SessionId,
    revision: Revision,
    at: Timestamp,
    by: Option<&Actor>,
    event: &RawValue,
) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct EventFrame<'a> {
        r#type: &'static str,
        session_id: SessionId,
        revision: Revision,
        at: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<&'a Actor>,
        event: &'a RawValue,
    }
    text(&EventFrame { r#type: "event", session_id, revision, at, by, event })
}

/// The message or log line that an event added, if it is wanted.
pub(super) fn text_of(frame: &RecordedFrame, wanted: Texts) -> Option<Bytes> {
    let revision = frame.recorded().revision;
    frame.text_frame(wanted, |text| stored_text(revision, text))
}

pub(super) fn stored_text(revision: Revision, added: Text) -> Bytes {
    text(&match added {
        Text::Message(message) => ServerFrame::Message { session_id: message.session_id, revision, message },
        Text::Log(log) => ServerFrame::Log { session_id: log.session_id, revision, log },
    })
}

pub(super) fn error_frame(id: Option<String>, session_id: Option<Given>, code: ErrorCode, message: &str) -> Bytes {
    let (id, message) = (id.map(Into::into), shortened(message.to_owned()));
    text(&ServerFrame::Error { id, session_id, code, message, retryable: code.is_retryable() })
}

/// An error that answers a frame which cannot be carried out, with the ids of that frame.
pub(crate) fn error_about(ids: &FrameIds, code: ErrorCode, message: &str) -> Bytes {
    // `ServerFrame::Error`, except that ids may be any JSON.
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ErrorFrame<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        session_id: Option<&'a RawValue>,
        code: ErrorCode,
        message: &'a str,
        retryable: bool,
    }
    let (id, session_id) = (ids.id.as_deref(), ids.session_id.as_deref());
    text(&ErrorFrame { r#type: "error", id, session_id, code, message, retryable: code.is_retryable() })
}

pub(super) fn hub_error(id: Option<String>, session_id: impl Into<Given>, error: &HubError) -> Bytes {
    error_frame(id, Some(session_id.into()), error_code(error), &error.to_string())
}

/// The protocol's code for an error of the hub.
#[must_use]
pub fn error_code(error: &HubError) -> ErrorCode {
    match error {
        HubError::Refused(refusal) => refusal.into(),
        HubError::NotFound => ErrorCode::NotFound,
        HubError::Constraint(
            Constraint::NoSuchGroup
            | Constraint::NoSuchWorkflow
            | Constraint::NoSuchProject
            | Constraint::NoSuchParent
            | Constraint::NoSuchWebhook,
        ) => ErrorCode::NotFound,
        HubError::Constraint(Constraint::TooManyGenerations | Constraint::TooManyChildren) => ErrorCode::TooLarge,
        HubError::Constraint(Constraint::CreationKeyUsed) => ErrorCode::IdempotencyKeyReused,
        HubError::Constraint(_) => ErrorCode::Conflict,
        HubError::CannotRun(_) => ErrorCode::InvalidGraph,
        HubError::BadSignal(_) => ErrorCode::BadRequest,
        HubError::Unavailable => ErrorCode::Unavailable,
        HubError::Internal => ErrorCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_fit_their_payloads() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let frame = with_header(TEXT, vec![b'x'; HEADER + length]);
            assert_eq!(frame.len(), header + length);
            assert_eq!(frame[0], TEXT);
            assert!(frame[header..].iter().all(|byte| *byte == b'x'));
            assert_eq!(payload(&frame), frame[header..]);
        }
    }

    #[test]
    fn the_type_of_a_frame_is_its_first_member() {
        let id = SessionId::generate();
        for (frame, expected) in [
            (end_of(id, SessionStatus::Failed, 7), "end"),
            (error_frame(None, None, ErrorCode::NotFound, "x"), "error"),
            (error_about(&FrameIds::default(), ErrorCode::BadRequest, "x"), "error"),
            (text(&ServerFrame::Pong), "pong"),
        ] {
            assert_eq!(kind(&payload(&frame)), expected);
        }
    }
}
