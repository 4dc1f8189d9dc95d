//! The registry of sessions in memory.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::HubError;
use super::live_session::{LiveSession, Subscription};
use super::publication::RecordedFrame;
use super::store::Store;
use crate::sync::{DashMap, OnceCell};
use relive_session::{Recorded, Session, SessionId, SessionIdentity};

/// The sessions in memory, by id. No guard of the map is ever held across an await.
#[derive(Clone, Debug)]
pub(super) struct Registry {
    store: Arc<dyn Store>,
    slots: Arc<DashMap<SessionId, LoadSlot>>,
}

/// The slot of one session. Concurrent loads are joined into one; if it fails, all callers are given
/// the error, and the slot is removed.
type LoadSlot = Arc<OnceCell<Result<Arc<LiveSession>, HubError>>>;

fn loaded(slot: &LoadSlot) -> Option<&Arc<LiveSession>> {
    slot.get()?.as_ref().ok()
}

/// Whether a session is in memory.
#[derive(Debug)]
pub(super) enum Residency {
    /// Not in memory. A load that starts now reads everything that is committed by now.
    Absent,
    Loading,
    Held(Arc<LiveSession>),
}

impl Registry {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, slots: Arc::default() }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the session is in memory.
    pub fn residency(&self, id: SessionId) -> Residency {
        match self.slots.get(&id).map(|slot| slot.get().cloned()) {
            None | Some(Some(Err(_))) => Residency::Absent,
            Some(None) => Residency::Loading,
            Some(Some(Ok(live))) => Residency::Held(live),
        }
    }

    /// Sorted.
    pub fn ids(&self) -> Vec<SessionId> {
        let mut ids: Vec<SessionId> = self.slots.iter().map(|slot| *slot.key()).collect();
        ids.sort_unstable();
        ids
    }

    /// The session, if it is in memory.
    pub fn peek(&self, id: SessionId) -> Option<Arc<LiveSession>> {
        loaded(&*self.slots.get(&id)?).cloned()
    }

    /// The session, loaded if needed.
    pub async fn get(&self, id: SessionId) -> Result<Arc<LiveSession>, HubError> {
        loop {
            if let Some(live) = self.peek(id) {
                return Ok(live);
            }
            let slot = Arc::clone(&*self.slots.entry(id).or_default());
            let mut has_looked = false;
            let load = || {
                has_looked = true;
                self.load(id)
            };
            match slot.get_or_init(load).await {
                // Only the entry in the map counts: the slot may have been removed meanwhile, because the session
                // was deleted.
                Ok(live) if self.holds(id, &slot) => return Ok(Arc::clone(live)),
                Ok(_) => {}
                Err(error) => {
                    // No slot is kept for a failed load, or requests with unknown ids would use up memory.
                    self.slots.remove_if(&id, |_, held| Arc::ptr_eq(held, &slot));
                    // It may have been created after another caller looked for it, and before this one came.
                    if has_looked || *error != HubError::NotFound {
                        return Err(error.clone());
                    }
                }
            }
        }
    }

    /// Follows a session, loaded if needed.
    pub async fn subscribe(&self, id: SessionId) -> Result<Subscription, HubError> {
        loop {
            let live = self.get(id).await?;
            if let Some(subscription) = live.subscribe() {
                return Ok(subscription);
            }
            self.forget(&live);
        }
    }

    fn holds(&self, id: SessionId, slot: &LoadSlot) -> bool {
        self.slots.get(&id).is_some_and(|held| Arc::ptr_eq(&held, slot))
    }

    async fn load(&self, id: SessionId) -> Result<Arc<LiveSession>, HubError> {
        let session = self.store.session(id).await?.ok_or(HubError::NotFound)?;
        Ok(LiveSession::new(Arc::new(session)))
    }

    /// Adds a session that was just stored, with its first event.
    pub fn insert_new(&self, session: Arc<Session>, created: Recorded) {
        // The entry under the same id may be of a deleted session whose deletion is not known here yet.
        if let Some(older) = self.peek(session.id).filter(|held| !session.is_continued_by(held.head().session())) {
            self.forget(&older);
            older.retire_deleted();
        }
        let live = LiveSession::new(Arc::clone(&session));
        live.publish(session, std::iter::once(Arc::new(RecordedFrame::new(created))));
        self.slots.entry(live.id()).or_insert_with(|| Arc::new(OnceCell::new_with(Some(Ok(live)))));
    }

    /// Removes a session that was found retired, so that the next look-up loads it again.
    pub fn forget(&self, retired: &Arc<LiveSession>) {
        self.slots.remove_if(&retired.id(), |_, slot| loaded(slot).is_some_and(|live| Arc::ptr_eq(live, retired)));
    }

    /// Removes a session that is no longer stored, and tells its viewers. A session that was stored under the
    /// same id since then stays.
    pub fn remove_deleted(&self, id: SessionId, deleted: SessionIdentity) {
        let is_it = |slot: &LoadSlot| loaded(slot).is_none_or(|live| live.identity().is_named_by(deleted));
        if let Some((_, slot)) = self.slots.remove_if(&id, |_, slot| is_it(slot))
            && let Some(live) = loaded(&slot)
        {
            live.retire_deleted();
        }
    }

    /// Releases sessions that were unused for this long.
    pub fn release_idle(&self, idle_after: Duration) {
        self.slots.retain(|_, slot| loaded(slot).is_none_or(|live| !live.retire_if_idle(idle_after)));
    }

    /// Releases idle sessions until told to stop. A session is released after at least `idle_after` and
    /// at most a quarter longer.
    pub async fn sweep(self, idle_after: Duration, stop: CancellationToken) {
        let mut tick = tokio::time::interval((idle_after / 4).max(Duration::from_millis(10)));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.release_idle(idle_after);
            metrics::gauge!("relive_live_sessions").set(self.slots.len() as f64);
        }
    }
}
