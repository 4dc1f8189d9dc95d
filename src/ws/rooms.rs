//! Who watches which session on this server, and the task that shows them its changes.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::viewer::Viewer;
use crate::hub::{Head, Hub, HubError, Live, Subscription};
use crate::session::SessionId;

/// Viewers that are served before the task lets others run.
const TURN: usize = 128;

/// The watched sessions. A session has a room as long as it has a viewer.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    hub: Hub,
    rooms: Arc<DashMap<SessionId, Room>>,
}

#[derive(Debug)]
struct Room {
    viewers: Arc<Mutex<Vec<Arc<Viewer>>>>,
    /// Ends the room's task with the room.
    _task: DropGuard,
}

/// A viewer's place in a room; dropping it leaves the room, and ends it when it was the last.
#[derive(Debug)]
pub(super) struct Membership {
    rooms: Rooms,
    viewer: Arc<Viewer>,
}

impl Rooms {
    pub fn new(hub: Hub) -> Self {
        Self { hub, rooms: Arc::default() }
    }

    /// Brings a viewer into its session's room. `make` is given the live session; from here on its
    /// viewer is moved on at every change, so whatever it reads first, nothing falls in between.
    ///
    /// # Errors
    ///
    /// When the session does not exist or cannot be loaded.
    pub async fn join(
        &self,
        id: SessionId,
        make: impl FnOnce(Arc<Live>) -> Viewer,
    ) -> Result<(Arc<Viewer>, Membership), HubError> {
        let subscription = self.hub.subscribe(id).await?;
        let viewer = Arc::new(make(Arc::clone(subscription.live())));
        match self.rooms.entry(id) {
            Entry::Occupied(room) => room.get().viewers.lock().push(Arc::clone(&viewer)),
            Entry::Vacant(place) => {
                let viewers = Arc::new(Mutex::new(vec![Arc::clone(&viewer)]));
                let ended = CancellationToken::new();
                tokio::spawn(ended.clone().run_until_cancelled_owned(show(subscription, Arc::clone(&viewers))));
                place.insert(Room { viewers, _task: ended.drop_guard() });
            }
        }
        metrics::gauge!("relive_viewers").increment(1);
        Ok((Arc::clone(&viewer), Membership { rooms: self.clone(), viewer }))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        metrics::gauge!("relive_viewers").decrement(1);
        if let Entry::Occupied(room) = self.rooms.rooms.entry(self.viewer.session_id()) {
            let is_empty = {
                let mut viewers = room.get().viewers.lock();
                if let Some(place) = viewers.iter().position(|viewer| Arc::ptr_eq(viewer, &self.viewer)) {
                    viewers.swap_remove(place);
                }
                viewers.is_empty()
            };
            if is_empty {
                room.remove();
            }
        }
    }
}

/// Shows every change to every viewer, until the room ends or the session is deleted.
async fn show(mut subscription: Subscription, viewers: Arc<Mutex<Vec<Arc<Viewer>>>>) {
    loop {
        let head = subscription.head();
        let present: Vec<Arc<Viewer>> = viewers.lock().clone();
        for turn in present.chunks(TURN) {
            for viewer in turn {
                viewer.move_on_or_call();
            }
            tokio::task::yield_now().await;
        }
        if let Head::Deleted(_) = head {
            return;
        }
        subscription.changed().await;
    }
}
