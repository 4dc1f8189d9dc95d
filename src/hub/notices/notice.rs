//! The content of a notice and its encoding: the sender's id, then JSON.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::storage::Notifier;
use relive_session::{Revision, SessionId, SessionSummary};

/// Sessions in one notice at most. Each takes up to 62 bytes.
const CHANGES: usize = 120;
/// Bytes for deleted sessions in one notice; the rest is for the JSON around them.
const DELETED_BYTES: usize = Notifier::PAYLOAD_BYTES - 200;
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
    /// More has changed than a notice can hold: receivers have to resync.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "everything")]
    pub resync: bool,
    /// A heartbeat: this server listens, and sends its commits to these servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "here")]
    pub heartbeat: Option<Vec<Uuid>>,
    /// This server stops.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leaves: bool,
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
