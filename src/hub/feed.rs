//! The feed of changed sessions, which live lists follow.
//!
//! One log serves all lists. It holds each session once, at its newest change. A list is a cursor into the
//! log: a slow list costs its cursor and, when it continues, reads each changed session once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::sync::{Mutex, watch};
use relive_session::{SessionId, SessionSummary};

/// The maximum number of sessions in the log. A list that is further behind starts over.
const LOG: usize = 65_536;
/// Changes returned at once.
const BATCH: usize = 256;

/// A session that changed.
#[derive(Clone, Debug)]
pub enum FeedChange {
    /// It was created or changed.
    Changed(SessionId),
    /// It was deleted; this was its last state. If another server's notice of it was late, another session may be
    /// stored under its id by now, and is not announced again: readers of the feed have to check.
    Deleted(Arc<SessionSummary>),
}

impl FeedChange {
    #[must_use]
    pub fn id(&self) -> SessionId {
        match self {
            Self::Changed(id) => *id,
            Self::Deleted(summary) => summary.id,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Feed {
    log: Mutex<Log>,
    /// The sequence number of the newest change.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Log {
    newest: u64,
    /// Changes up to this one may have been dropped from the log.
    floor: u64,
    by_sequence: BTreeMap<u64, FeedChange>,
    by_session: HashMap<SessionId, u64>,
}

impl Feed {
    pub fn changed(&self, id: SessionId) {
        self.record(id, FeedChange::Changed(id));
    }

    pub fn deleted(&self, id: SessionId, summary: SessionSummary) {
        self.record(id, FeedChange::Deleted(Arc::new(summary)));
    }

    fn record(&self, id: SessionId, change: FeedChange) {
        if self.newest.receiver_count() == 0 {
            return;
        }
        let mut log = self.log.lock();
        log.newest += 1;
        let sequence = log.newest;
        if let Some(older) = log.by_session.insert(id, sequence) {
            log.by_sequence.remove(&older);
        }
        log.by_sequence.insert(sequence, change);
        if log.by_sequence.len() > LOG {
            log.forget_oldest();
        }
        // Still locked: otherwise a later number could be published before this one, and then be overwritten.
        self.newest.send_replace(sequence);
    }

    /// All lists have to be read again: it is unknown what has changed.
    pub fn start_over(&self) {
        if self.newest.receiver_count() == 0 {
            return;
        }
        let mut log = self.log.lock();
        let newest = log.newest + 1;
        *log = Log { newest, floor: newest, ..Log::default() };
        self.newest.send_replace(newest);
    }

    /// The newest change that was published, and the newest in the log.
    // Used where `tests/interleavings` compiles this file.
    #[cfg(test)]
    #[allow(dead_code)]
    pub fn newest(&self) -> (u64, u64) {
        let log = self.log.lock();
        (*self.newest.borrow(), log.newest)
    }

    pub fn follow(feed: &Arc<Self>) -> FeedCursor {
        // Subscribe first, so that no change after this line is missed.
        let newest = feed.newest.subscribe();
        let position = feed.log.lock().newest;
        FeedCursor { feed: Arc::clone(feed), newest, position }
    }
}

impl Log {
    fn forget_oldest(&mut self) {
        if let Some((sequence, change)) = self.by_sequence.pop_first() {
            self.floor = sequence;
            self.by_session.remove(&change.id());
        }
    }
}

/// A live list's cursor in the feed.
#[derive(Debug)]
pub struct FeedCursor {
    feed: Arc<Feed>,
    newest: watch::Receiver<u64>,
    position: u64,
}

impl FeedCursor {
    /// The next changes, the oldest first, each session once; waits for the first. `None` if the cursor
    /// is too far behind and the list has to be read again; the cursor is at the newest change then.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<FeedChange>> {
        // The sender lives in `self.feed`, so it cannot have been dropped.
        let _ = self.newest.wait_for(|newest| *newest > self.position).await;
        let log = self.feed.log.lock();
        if self.position < log.floor {
            self.position = log.newest;
            return None;
        }
        let mut changes = Vec::new();
        for (sequence, change) in log.by_sequence.range(self.position + 1..).take(BATCH) {
            self.position = *sequence;
            changes.push(change.clone());
        }
        Some(changes)
    }
}
