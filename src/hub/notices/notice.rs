//! The content of a notice and its encoding: the sender's id, then JSON.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::chunk_queue::UnsentChunk;
use crate::hub::Chunk;
use crate::storage::Notifier;
use relive_session::{MessageId, NodeId, Revision, SessionId, SessionSummary};

/// Sessions in one notice at most. Each takes up to 62 bytes.
const CHANGES: usize = 120;
/// Bytes for deleted sessions, or for chunks, in one notice; the rest is for the JSON around them.
const DELETED_BYTES: usize = Notifier::PAYLOAD_BYTES - 200;
const CHUNK_BYTES: usize = DELETED_BYTES;
/// The length of an incarnation, with commas.
const INCARNATION_BYTES: usize = 21;
/// The length of the sender's id, which comes first.
const SENDER_BYTES: usize = 36;

/// A notice to all other servers. Servers of different versions may share a database: members that are
/// unknown are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Notice {
    /// Sessions that were committed up to at least this revision.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<(SessionId, Revision)>,
    /// Sessions that were deleted before those in `changed` changed, with their last summaries. What
    /// is too long is left out; never the tags, which say who is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<SessionSummary>,
    /// The incarnation of each of `deleted`. Servers of the version before neither send nor read it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incarnations: Vec<i64>,
    /// Sessions that have got a child, or have lost one. Servers of the version before ignore it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<SessionId>,
    /// More has changed than a notice can hold: receivers have to resync.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "everything")]
    pub resync: bool,
    /// A heartbeat: this server listens, and sends its commits to these servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "here")]
    pub heartbeat: Option<Vec<Uuid>>,
    /// With a heartbeat: whether this server hears what is sent by the message broker (`Peers::broker_epoch`).
    #[serde(skip_serializing_if = "is_zero")]
    pub broker: u64,
    /// Chunks of messages that are being written. Servers of the version before ignore them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<ChunkNotice>,
    /// This server stops.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leaves: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An [`UnsentChunk`] on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChunkNotice {
    session_id: SessionId,
    node_id: NodeId,
    message_id: MessageId,
    offset: usize,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is_thinking: Option<bool>,
}

impl ChunkNotice {
    /// The session, the chunk, and how many bytes of the message's text come before it.
    pub fn into_parts(self) -> (SessionId, Chunk, usize) {
        let Self { session_id, node_id, message_id, offset, text, agent_id, is_thinking } = self;
        (session_id, Chunk { node_id, message_id, text, agent_id, is_thinking }, offset)
    }

    /// Its size in a notice, with a comma.
    fn size(&self) -> usize {
        serde_json::to_string(self).unwrap_or_default().len() + 1
    }

    /// Takes off the second half of the text, at a character.
    fn split(&mut self) -> Self {
        let half = self.text.len() / 2;
        let at = (half..=self.text.len()).find(|at| self.text.is_char_boundary(*at)).unwrap_or(half);
        let text = self.text.split_off(at);
        Self { offset: self.offset + at, text, ..self.clone() }
    }
}

impl From<UnsentChunk> for ChunkNotice {
    fn from(UnsentChunk { session_id, chunk, offset }: UnsentChunk) -> Self {
        let Chunk { node_id, message_id, text, agent_id, is_thinking } = chunk;
        Self { session_id, node_id, message_id, offset, text, agent_id, is_thinking }
    }
}

impl Notice {
    /// The notice as one payload; it must be short enough.
    pub fn encode(&self, sender: Uuid) -> String {
        // Ids, numbers and texts: encoding them cannot fail.
        let body = serde_json::to_string(self).unwrap_or_default();
        format!("{sender}{body}")
    }

    /// Splits a payload into its sender and what [`Notice::parse`] understands.
    pub fn split(payload: &str) -> Option<(Uuid, &str)> {
        let (sender, body) = payload.split_at_checked(SENDER_BYTES)?;
        Some((sender.parse().ok()?, body))
    }

    pub fn parse(body: &str) -> Option<Self> {
        let mut notice: Self = serde_json::from_str(body).ok()?;
        for (summary, incarnation) in notice.deleted.iter_mut().zip(notice.incarnations.drain(..)) {
            summary.incarnation = incarnation;
        }
        Some(notice)
    }
}

/// Changes and deletions as payloads, none too long.
pub(super) fn encode(
    sender: Uuid,
    changed: impl Iterator<Item = (SessionId, Revision)>,
    deleted: &[SessionSummary],
) -> Vec<String> {
    // Deletions first, all of them: a session may have been deleted and stored again.
    let mut payloads = encode_deleted(sender, deleted);
    let changed: Vec<_> = changed.collect();
    let notices = changed.chunks(CHANGES).map(|some| Notice { changed: some.to_vec(), ..Notice::default() });
    payloads.extend(notices.map(|notice| notice.encode(sender)));
    payloads
}

/// The sessions whose children have changed, as payloads.
pub(super) fn encode_families(sender: Uuid, families: impl Iterator<Item = SessionId>) -> Vec<String> {
    let families: Vec<_> = families.collect();
    let notice = |some: &[SessionId]| Notice { families: some.to_vec(), ..Notice::default() }.encode(sender);
    families.chunks(CHANGES).map(notice).collect()
}

/// Chunks as payloads, in their order; long texts are cut.
pub(super) fn encode_chunks(sender: Uuid, chunks: Vec<UnsentChunk>) -> Vec<String> {
    let mut payloads = Vec::new();
    let (mut notice, mut bytes) = (Notice::default(), 0);
    for chunk in chunks.into_iter().flat_map(pieces) {
        let size = chunk.size();
        if bytes + size > CHUNK_BYTES {
            payloads.push(std::mem::take(&mut notice).encode(sender));
            bytes = 0;
        }
        bytes += size;
        notice.chunks.push(chunk);
    }
    if !notice.chunks.is_empty() {
        payloads.push(notice.encode(sender));
    }
    payloads
}

/// A chunk in pieces that each fit into a notice.
fn pieces(chunk: UnsentChunk) -> Vec<ChunkNotice> {
    let mut waiting = vec![ChunkNotice::from(chunk)];
    let mut pieces = Vec::new();
    while let Some(mut piece) = waiting.pop() {
        if piece.size() <= CHUNK_BYTES {
            pieces.push(piece);
        } else if piece.text.chars().nth(1).is_some() {
            let rest = piece.split();
            waiting.extend([rest, piece]);
        }
        // One whose ids alone are too long is not sent: the stored message is shown.
    }
    pieces
}

fn encode_deleted(sender: Uuid, deleted: &[SessionSummary]) -> Vec<String> {
    let mut payloads = Vec::new();
    let (mut notice, mut bytes) = (Notice::default(), 0);
    for summary in deleted {
        let (summary, size) = fitting(summary.clone());
        if bytes + size > DELETED_BYTES {
            payloads.push(std::mem::take(&mut notice).encode(sender));
            bytes = 0;
        }
        bytes += size;
        notice.incarnations.push(summary.incarnation);
        notice.deleted.push(summary);
    }
    if !notice.deleted.is_empty() {
        payloads.push(notice.encode(sender));
    }
    payloads
}

/// A summary that fits into a notice, and its size with its incarnation and commas.
fn fitting(mut summary: SessionSummary) -> (SessionSummary, usize) {
    let size = |summary: &SessionSummary| serde_json::to_string(summary).unwrap_or_default().len() + INCARNATION_BYTES;
    if size(&summary) > DELETED_BYTES {
        summary.error = None;
    }
    if size(&summary) > DELETED_BYTES {
        summary.metadata = Arc::default();
    }
    if size(&summary) > DELETED_BYTES {
        summary.workflow_name = None;
    }
    let bytes = size(&summary);
    (summary, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(error: usize) -> SessionSummary {
        let value = serde_json::json!({
            "id": Uuid::now_v7(), "status": "failed", "createdAt": "2026-01-01T00:00:00.000Z",
            "updatedAt": "2026-01-01T00:00:00.000Z", "revision": 7, "totalTokens": 0, "totalCostUsd": 0.0,
            "error": "\u{1}".repeat(error), "nodeCounts": relive_session::NodeCounts::default(),
        });
        SessionSummary { incarnation: i64::MAX, ..serde_json::from_value(value).expect("a summary") }
    }

    fn decoded(payloads: &[String], sender: Uuid) -> Vec<Notice> {
        let decode = |payload: &String| {
            assert!(payload.len() <= Notifier::PAYLOAD_BYTES, "{} bytes", payload.len());
            let (from, body) = Notice::split(payload).expect("a sender");
            assert_eq!(from, sender);
            Notice::parse(body).expect("a notice")
        };
        payloads.iter().map(decode).collect()
    }

    fn unsent(text: String) -> UnsentChunk {
        let chunk = Chunk {
            node_id: NodeId::from("n"),
            message_id: MessageId::new("m").expect("an id"),
            text,
            agent_id: Some("alice".to_owned()),
            is_thinking: Some(true),
        };
        UnsentChunk { session_id: SessionId::generate(), chunk, offset: 3 }
    }

    #[test]
    fn chunks_of_any_length_fit_into_short_payloads_in_order() {
        let sender = Uuid::now_v7();
        for text in ["word".to_owned(), "\u{1}".repeat(20_000), "\u{1f600}é".repeat(9_999)] {
            let sent = [unsent(text.clone()), unsent(text)];
            let notices = decoded(&encode_chunks(sender, sent.to_vec()), sender);
            let mut received = notices.into_iter().flat_map(|notice| notice.chunks).map(ChunkNotice::into_parts);
            for UnsentChunk { session_id, chunk, mut offset } in sent {
                let end = offset + chunk.text.len();
                while offset < end {
                    let (id, piece, at) = received.next().expect("another piece");
                    assert_eq!((id, at), (session_id, offset));
                    assert_eq!(piece.text, chunk.text[offset - 3..offset - 3 + piece.text.len()]);
                    assert_eq!(Chunk { text: chunk.text.clone(), ..piece.clone() }, chunk);
                    offset += piece.text.len();
                }
            }
            assert!(received.next().is_none());
        }
    }

    #[test]
    fn any_number_of_sessions_fits_into_short_payloads() {
        let sender = Uuid::now_v7();
        for number in [1, CHANGES, CHANGES + 1, 10 * CHANGES] {
            let changed: Vec<_> = (0..number).map(|_| (SessionId::generate(), Revision::MAX)).collect();
            let notices = decoded(&encode(sender, changed.iter().copied(), &[]), sender);
            assert_eq!(notices.len(), number.div_ceil(CHANGES));
            assert_eq!(notices.into_iter().flat_map(|notice| notice.changed).collect::<Vec<_>>(), changed);
        }
    }

    #[test]
    fn deleted_sessions_come_first_and_lose_only_what_does_not_fit() {
        let sender = Uuid::now_v7();
        // A character of the error takes six bytes in JSON.
        let mut deleted: Vec<_> = [0, 100, 1_000, 1_200, 1_300, 100_000, 10].map(summary).into();
        deleted.extend((0..50).map(|_| summary(3)));
        let changed = (SessionId::generate(), 1);
        let mut notices = decoded(&encode(sender, std::iter::once(changed), &deleted), sender);
        assert_eq!(notices.pop(), Some(Notice { changed: vec![changed], ..Notice::default() }));
        let told: Vec<_> = notices.into_iter().flat_map(|notice| notice.deleted).collect();
        for (told, whole) in told.iter().zip(&deleted) {
            let kept = whole.error.as_ref().filter(|error| error.len() <= 1_200).cloned();
            assert_eq!(told, &SessionSummary { error: kept, ..whole.clone() });
        }
        assert_eq!(told.len(), deleted.len());
    }

    #[test]
    fn tags_are_told_however_much_else_there_is() {
        let sender = Uuid::now_v7();
        let mut value = serde_json::to_value(summary(100_000)).expect("JSON");
        value["name"] = "\u{1}".repeat(200).into();
        value["workflowName"] = "w".repeat(1_024).into();
        value["tags"] = (0..20).map(|n| format!("{n:02}{}", "\u{1F41D}".repeat(62))).collect::<Vec<_>>().into();
        value["metadata"] = serde_json::json!({ "k": "x".repeat(16_000) });
        let labelled: SessionSummary = serde_json::from_value(value).expect("a summary");
        let notices = decoded(&encode(sender, std::iter::empty(), std::slice::from_ref(&labelled)), sender);
        let [Notice { deleted, .. }] = &notices[..] else { panic!("{notices:?}") };
        assert_eq!((&deleted[0].tags, &deleted[0].name), (&labelled.tags, &labelled.name));
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        assert_eq!(Notice::split("hello"), None);
        assert_eq!(Notice::split(&"ü".repeat(30)), None);
        assert_eq!(Notice::parse("{\"changed\":1}"), None);
        assert_eq!(Notice::parse("{\"later\":1}"), Some(Notice::default()));
        // A deletion by a server of the version before names no incarnation.
        let told = Notice { deleted: vec![summary(0)], ..Notice::default() };
        let told = Notice::parse(&serde_json::to_string(&told).expect("JSON")).expect("a notice");
        assert_eq!(told.deleted[0].incarnation, 0);
    }
}
