//! Synchronises sessions in memory with what other servers have committed.
//!
//! A session that has no viewers here is released, and loaded again on the next access. For one that has
//! viewers, the new events are read from the journal, once for all viewers, and applied by its lane. Notices
//! that arrive during a read lead to one more read, so a busy session costs one read after the other here,
//! not one per commit there.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::Hub;
use super::error::HubError;
use super::feed::Feed;
use super::live_session::{Head, LiveSession};
use super::partition::lane_of;
use super::publication::RecordedFrame;
use super::queue::Queue;
use super::registry::{Registry, Residency};
use super::remote_update::RemoteUpdate;
use super::store::Store;
use crate::storage::{PageBounds, StorageError, StoredEvent};
use relive_session::{Recorded, Revision, Session, SessionId, SessionIdentity, SessionSummary};

/// Sessions that are read at the same time.
const READS: usize = 4;
/// Sessions taken from the queue at once.
const BATCH: usize = 64;
/// Events that are read into the ring. A session that is further behind is reloaded, and its viewers read
/// the events they need from the journal.
const PAGE: PageBounds = PageBounds { rows: 256, bytes: 1024 * 1024 };
/// A session that was used within this time is kept up to date although it has no viewers.
const RECENT: Duration = Duration::from_secs(5);
/// The pause before the retry for a session that could not be read.
const RETRY: Duration = Duration::from_millis(500);
/// Sessions whose revisions are read by one query.
const CHECKED: usize = 1_000;

/// Follows the commits of other servers. A cheap handle.
#[derive(Clone, Debug)]
pub(super) struct RemoteSync {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    registry: Registry,
    feed: Arc<Feed>,
    lanes: Vec<mpsc::Sender<RemoteUpdate>>,
    /// Sessions in memory that are behind, each with the revision named by the newest notice.
    behind: Mutex<Queue<Revision>>,
    changed_signal: Notify,
    /// A resync is requested: compare all sessions in memory with the stored ones.
    check: Notify,
}

impl RemoteSync {
    pub fn new(
        store: Arc<dyn Store>,
        registry: Registry,
        feed: Arc<Feed>,
        lanes: Vec<mpsc::Sender<RemoteUpdate>>,
    ) -> Self {
        let behind = Mutex::default();
        let shared =
            Shared { store, registry, feed, lanes, behind, changed_signal: Notify::new(), check: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Another server has committed a session up to this revision.
    pub fn announced(&self, id: SessionId, revision: Revision) {
        let Shared { registry, feed, .. } = &*self.shared;
        match registry.residency(id) {
            Residency::Absent => feed.changed(id),
            // The revision came from a commit of this server, or was read already: lists show it once.
            Residency::Held(live) if live.revision() >= revision => feed.changed(id),
            Residency::Held(live) if live.retire_if_idle(RECENT) => {
                registry.forget(&live);
                feed.changed(id);
            }
            // One that is being loaded may have been read before that commit.
            Residency::Held(_) | Residency::Loading => self.put(id, revision),
        }
    }

    /// Another server has deleted a session.
    pub fn deleted(&self, summary: SessionSummary) {
        self.shared.registry.remove_deleted(summary.id, summary.identity());
        self.shared.feed.deleted(summary.id, summary);
    }

    /// A session has got a child, or has lost one.
    pub fn family_changed(&self, id: SessionId) {
        if let Some(live) = self.shared.registry.peek(id) {
            live.children().forget();
        }
        self.shared.feed.changed(id);
    }

    /// Requests a resync of all sessions in memory.
    pub fn resync_sessions(&self) {
        self.shared.registry.forget_child_counts();
        self.shared.check.notify_one();
    }

    /// Requests a resync, and makes lists start over: they also show sessions that are not in memory.
    pub fn resync(&self) {
        self.resync_sessions();
        self.shared.feed.start_over();
    }

    fn put(&self, id: SessionId, revision: Revision) {
        self.shared.behind.lock().put(id, |waiting| revision.max(waiting.unwrap_or_default()));
        self.shared.changed_signal.notify_one();
    }

    async fn next_behind(&self) -> Vec<(SessionId, Revision)> {
        loop {
            let some = self.shared.behind.lock().pop_batch(BATCH);
            if !some.is_empty() {
                return some;
            }
            self.shared.changed_signal.notified().await;
        }
    }

    /// Synchronises sessions that have fallen behind.
    pub async fn run(self) {
        loop {
            let some = stream::iter(self.next_behind().await);
            some.for_each_concurrent(READS, |(id, revision)| self.try_sync(id, revision)).await;
        }
    }

    async fn try_sync(&self, id: SessionId, revision: Revision) {
        // Released meanwhile: the next access loads the newest state.
        if matches!(self.shared.registry.residency(id), Residency::Absent) {
            return self.shared.feed.changed(id);
        }
        match self.sync_to(id, revision).await {
            Ok(()) => self.shared.feed.changed(id),
            Err(HubError::NotFound) => {}
            Err(HubError::Unavailable) => {
                tokio::time::sleep(RETRY).await;
                self.put(id, revision);
            }
            Err(error) => tracing::error!(%error, session_id = %id, "cannot synchronise a session with another server"),
        }
    }

    /// Synchronises a session up to `revision` or later, if it is in memory at an earlier one.
    async fn sync_to(&self, id: SessionId, revision: Revision) -> Result<(), HubError> {
        let Shared { registry, store, lanes, .. } = &*self.shared;
        let live = registry.get(id).await?;
        let Head::At(held) = live.head() else { return Ok(()) };
        if held.session().revision >= revision {
            return Ok(());
        }
        let (session, events) = match read(&**store, held.session(), revision).await? {
            Read::Newer(session, events) => (session, events),
            Read::Nothing => {
                self.gone(&live);
                return Err(HubError::NotFound);
            }
            Read::AnotherSession => {
                self.replaced(&live);
                return Ok(());
            }
        };
        metrics::counter!("relive_sessions_caught_up_total").increment(1);
        let (done, applied) = oneshot::channel();
        let update = RemoteUpdate { live, session, events, done };
        lanes[lane_of(id, lanes.len())].send(update).await.map_err(|_| HubError::Unavailable)?;
        applied.await.map_err(|_| HubError::Unavailable)
    }

    /// Synchronises a session in memory with the stored one; returns the revision that this has.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] if it is not stored any more, [`HubError::Unavailable`].
    pub async fn sync_with_store(&self, live: &LiveSession) -> Result<Revision, HubError> {
        let (id, held) = (live.id(), live.revision());
        let stored = self.shared.store.versions(&[id]).await?;
        let revision = match stored.get(&id) {
            Some(stored) if stored.identity == live.identity() => stored.revision,
            // Deleted or replaced, which reading what follows finds.
            _ => held + 1,
        };
        if revision > held {
            self.sync_to(id, revision).await?;
        }
        Ok(revision)
    }

    /// Compares all sessions in memory with the stored ones: on request, and periodically.
    pub async fn run_checks(self, every: Duration) {
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = tick.tick() => {}
                () = self.shared.check.notified() => {}
            }
            for ids in self.shared.registry.ids().chunks(CHECKED) {
                if let Err(error) = self.check_some(ids).await {
                    tracing::debug!(%error, "cannot compare sessions in memory with the stored ones");
                    break;
                }
            }
        }
    }

    async fn check_some(&self, ids: &[SessionId]) -> Result<(), StorageError> {
        // The result does not include a session that was stored after the query: under the id of one that was in
        // memory, or while it was being loaded.
        let held = |id: &SessionId| self.shared.registry.peek(*id).map(|live| live.identity());
        let were_held: Vec<Option<SessionIdentity>> = ids.iter().map(held).collect();
        let stored = self.shared.store.versions(ids).await?;
        for (id, was_held) in ids.iter().zip(were_held) {
            let was_there = |live: &LiveSession| was_held == Some(live.identity());
            match (self.shared.registry.residency(*id), stored.get(id)) {
                (Residency::Held(live), None) if was_there(&live) => self.gone(&live),
                (Residency::Held(live), Some(stored)) if stored.identity != live.identity() => {
                    if was_there(&live) {
                        self.replaced(&live);
                    }
                }
                (Residency::Held(live), Some(stored)) if live.revision() >= stored.revision => {}
                (Residency::Held(_) | Residency::Loading, Some(stored)) => self.announced(*id, stored.revision),
                (Residency::Absent, _) | (Residency::Held(_) | Residency::Loading, None) => {}
            }
        }
        Ok(())
    }

    /// A session is no longer stored.
    fn gone(&self, live: &Arc<LiveSession>) {
        self.shared.registry.forget(live);
        live.retire_deleted();
        self.shared.feed.deleted(live.id(), live.head().session().summary());
    }

    /// A session was deleted, and another one is stored under its id.
    fn replaced(&self, live: &Arc<LiveSession>) {
        self.shared.registry.forget(live);
        live.retire_deleted();
        self.shared.feed.changed(live.id());
    }
}

/// The result of reading a session that is behind.
enum Read {
    /// A newer state, and the events that lead there unless they are too many.
    Newer(Arc<Session>, Vec<Arc<RecordedFrame>>),
    Nothing,
    AnotherSession,
}

/// The events from a state to the newest, at least to `revision`.
async fn read(store: &dyn Store, held: &Arc<Session>, revision: Revision) -> Result<Read, StorageError> {
    let page = store.next_events(held, PAGE).await?;
    if page.last().is_some_and(|event| event.revision >= revision)
        && let Some(read) = fold(held, page.into_iter())
    {
        return Ok(read);
    }
    // Too far behind, deleted, or another session.
    Ok(match store.session(held.id).await? {
        None => Read::Nothing,
        Some(session) if held.is_continued_by(&session) => Read::Newer(Arc::new(session), Vec::new()),
        Some(_) => Read::AnotherSession,
    })
}

fn fold(held: &Arc<Session>, page: impl Iterator<Item = StoredEvent>) -> Option<Read> {
    let mut session = Arc::clone(held);
    let mut events = Vec::new();
    for stored in page {
        let recorded = with_text(held.id, stored)?;
        Arc::make_mut(&mut session).apply(&recorded).ok()?;
        events.push(Arc::new(RecordedFrame::new(recorded)));
    }
    Some(Read::Newer(session, events))
}

/// An event with the text that it added, which viewers are shown.
fn with_text(session_id: SessionId, stored: StoredEvent) -> Option<Recorded> {
    let mut recorded = stored.recorded(session_id).ok()?;
    if let Some(text) = stored.text {
        recorded.hold_text(*text);
    }
    Some(recorded)
}

impl Hub {
    /// Synchronises a session in memory up to `revision` if it is behind another server.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn refresh(&self, id: SessionId, revision: Revision) -> Result<(), HubError> {
        self.inner.remote_sync.sync_to(id, revision).await
    }
}
