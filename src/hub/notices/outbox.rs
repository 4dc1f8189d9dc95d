//! Changes that are yet to be announced to other servers: each session once, at its newest revision.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use tokio::sync::Notify;

use relive_session::{Revision, SessionId, SessionSummary};

/// Sessions queued at most. Beyond it the queue is dropped, and the others are told to resync.
const CHANGED: usize = 16_384;
/// Deleted sessions queued at most; the same beyond it.
const DELETED: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    pending: Mutex<UnsentNotices>,
    changed_signal: Notify,
}

/// What has not been sent yet.
#[derive(Debug, Default, PartialEq)]
pub(super) struct UnsentNotices {
    pub changed: BTreeMap<SessionId, Revision>,
    pub deleted: Vec<SessionSummary>,
    /// Sessions that have got a child, or have lost one.
    pub families: BTreeSet<SessionId>,
    /// The queue overflowed. Nothing else is queued then.
    pub resync: bool,
    /// A heartbeat is due.
    pub heartbeat: bool,
}

impl UnsentNotices {
    fn is_empty(&self) -> bool {
        let is_empty = self.changed.is_empty() && self.deleted.is_empty() && self.families.is_empty();
        is_empty && !self.resync && !self.heartbeat
    }

    fn change(&mut self, id: SessionId, revision: Revision) {
        if !self.resync {
            let newest = self.changed.entry(id).or_default();
            *newest = revision.max(*newest);
            self.check();
        }
    }

    fn delete(&mut self, summary: SessionSummary) {
        if !self.resync {
            self.changed.remove(&summary.id);
            self.deleted.push(summary);
            self.check();
        }
    }

    fn change_family(&mut self, id: SessionId) {
        if !self.resync {
            self.families.insert(id);
            self.check();
        }
    }

    fn check(&mut self) {
        if self.changed.len().max(self.families.len()) > CHANGED || self.deleted.len() > DELETED {
            *self = Self { resync: true, heartbeat: self.heartbeat, ..Self::default() };
        }
    }
}

impl Outbox {
    pub fn changed(&self, id: SessionId, revision: Revision) {
        self.pending.lock().change(id, revision);
        self.changed_signal.notify_one();
    }

    pub fn family_changed(&self, id: SessionId) {
        self.pending.lock().change_family(id);
        self.changed_signal.notify_one();
    }

    pub fn deleted(&self, summary: SessionSummary) {
        self.pending.lock().delete(summary);
        self.changed_signal.notify_one();
    }

    pub fn heartbeat(&self) {
        self.pending.lock().heartbeat = true;
        self.changed_signal.notify_one();
    }

    /// Removes everything that is queued; waits until there is something. Cancel-safe.
    pub async fn next(&self) -> UnsentNotices {
        loop {
            let pending = self.drain();
            if !pending.is_empty() {
                return pending;
            }
            self.changed_signal.notified().await;
        }
    }

    pub fn drain(&self) -> UnsentNotices {
        std::mem::take(&mut *self.pending.lock())
    }

    /// Requeues what could not be sent; changes queued meanwhile are newer.
    pub fn requeue(&self, mut unsent: UnsentNotices) {
        let mut pending = self.pending.lock();
        let newer = std::mem::take(&mut *pending);
        unsent.heartbeat |= newer.heartbeat;
        if newer.resync {
            unsent = UnsentNotices { resync: true, heartbeat: unsent.heartbeat, ..UnsentNotices::default() };
        }
        newer.deleted.into_iter().for_each(|summary| unsent.delete(summary));
        newer.changed.into_iter().for_each(|(id, revision)| unsent.change(id, revision));
        newer.families.into_iter().for_each(|id| unsent.change_family(id));
        *pending = unsent;
        self.changed_signal.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(id: SessionId) -> SessionSummary {
        let value = serde_json::json!({
            "id": id, "status": "failed", "createdAt": "2026-01-01T00:00:00.000Z",
            "updatedAt": "2026-01-01T00:00:00.000Z", "revision": 7, "totalTokens": 0, "totalCostUsd": 0.0,
            "nodeCounts": relive_session::NodeCounts::default(),
        });
        serde_json::from_value(value).expect("a summary")
    }

    #[test]
    fn a_session_waits_once_at_its_newest() {
        let (outbox, id) = (Outbox::default(), SessionId::generate());
        for revision in [2, 5, 3] {
            outbox.changed(id, revision);
        }
        let taken = outbox.drain();
        assert_eq!(taken.changed, BTreeMap::from([(id, 5)]));
        outbox.changed(id, 6);
        outbox.requeue(taken);
        assert_eq!(outbox.drain().changed, BTreeMap::from([(id, 6)]));
    }

    #[test]
    fn a_deleted_session_that_is_stored_again_is_both() {
        let (outbox, id) = (Outbox::default(), SessionId::generate());
        outbox.changed(id, 9);
        outbox.deleted(summary(id));
        let taken = outbox.drain();
        assert!(taken.changed.is_empty());
        outbox.changed(id, 1);
        outbox.requeue(taken);
        let pending = outbox.drain();
        assert_eq!((pending.changed, pending.deleted.len()), (BTreeMap::from([(id, 1)]), 1));
    }

    #[test]
    fn beyond_the_bound_it_says_to_look_at_everything() {
        let outbox = Outbox::default();
        for _ in 0..=CHANGED {
            outbox.changed(SessionId::generate(), 1);
        }
        outbox.heartbeat();
        outbox.changed(SessionId::generate(), 1);
        outbox.deleted(summary(SessionId::generate()));
        let resync = UnsentNotices { resync: true, heartbeat: true, ..UnsentNotices::default() };
        let taken = outbox.drain();
        assert_eq!(taken, resync);
        // The overflow stays set when it has to be sent again.
        outbox.changed(SessionId::generate(), 1);
        outbox.requeue(taken);
        assert_eq!(outbox.drain(), resync);
        for _ in 0..=DELETED {
            outbox.deleted(summary(SessionId::generate()));
        }
        assert_eq!(outbox.drain(), UnsentNotices { resync: true, ..UnsentNotices::default() });
    }
}
