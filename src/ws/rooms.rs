//! Rooms: the viewers of each session on this server, and the task that shows them its changes.

use std::sync::{Arc, Weak};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::message_chunks::PartialMessages;
use super::socket::Socket;
use super::viewer::Viewer;
use crate::hub::{Chunk, ChunkOrigin, ChunkRelay, Head, Hub, HubError, LiveSession, Subscription, Watched};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{DashMap, Entry, Mutex, Notify, spawn};
use relive_session::{Event, Revision, SessionId};

/// Viewers that are served before the task yields: some milliseconds of writing. Every yield may move the task
/// to another core, which costs more than it helps others.
const TURN: usize = 1_024;

/// The watched sessions. A session has a room as long as it has a viewer.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    hub: Hub,
    rooms: Arc<DashMap<SessionId, Room>>,
}

#[derive(Debug)]
struct Room {
    shared: Arc<Shared>,
    /// Stops the room's task together with the room.
    _task: DropGuard,
    _watched: Watched,
}

/// State shared by a room's task and its viewers.
#[derive(Debug)]
struct Shared {
    live: Arc<LiveSession>,
    viewers: Mutex<Vec<Arc<Viewer>>>,
    streams: Arc<PartialMessages>,
    /// A chunk of a message has come.
    chunk: Notify,
    /// The session was deleted; nothing more is shown here.
    has_ended: AtomicBool,
}

impl Room {
    fn open(subscription: Subscription) -> Self {
        let watched = subscription.live().watched();
        // Nobody was watching before.
        drop(subscription.live().head().publication().take_broadcast());
        let shared = Arc::new(Shared {
            live: Arc::clone(subscription.live()),
            viewers: Mutex::default(),
            streams: Arc::new(PartialMessages::new(subscription.live().id())),
            chunk: Notify::new(),
            has_ended: AtomicBool::new(false),
        });
        let ended = CancellationToken::new();
        spawn(ended.clone().run_until_cancelled_owned(show(subscription, Arc::clone(&shared))));
        Self { shared, _task: ended.drop_guard(), _watched: watched }
    }
}

/// A viewer's membership; dropping it leaves the room, and closes the room if it was the last.
#[derive(Debug)]
pub(super) struct Membership {
    rooms: Rooms,
    viewer: Arc<Viewer>,
}

impl Rooms {
    pub fn new(hub: Hub) -> Self {
        Self { hub, rooms: Arc::default() }
    }

    /// Adds a viewer to its session's room. `make` is given the live session. From then on the viewer is
    /// advanced at every change, so nothing is missed after its first read.
    ///
    /// # Errors
    ///
    /// If the session does not exist or cannot be loaded.
    pub async fn join(
        &self,
        id: SessionId,
        make: impl FnOnce(Arc<LiveSession>, Arc<PartialMessages>) -> Viewer,
    ) -> Result<(Arc<Viewer>, Membership), HubError> {
        let subscription = self.hub.subscribe(id).await?;
        let live = Arc::clone(subscription.live());
        let viewer = {
            let room = match self.rooms.entry(id) {
                Entry::Vacant(place) => place.insert(Room::open(subscription)),
                Entry::Occupied(mut held) => {
                    // The room of a deleted session, not yet empty, and a new session of that id.
                    if held.get().shared.has_ended.load(Ordering::Acquire) {
                        held.insert(Room::open(subscription));
                    }
                    held.into_ref()
                }
            };
            let viewer = Arc::new(make(live, Arc::clone(&room.shared.streams)));
            room.shared.viewers.lock().push(Arc::clone(&viewer));
            viewer
        };
        metrics::gauge!("relive_viewers").increment(1);
        Ok((Arc::clone(&viewer), Membership { rooms: self.clone(), viewer }))
    }

    /// Rooms that are open.
    // Used where `tests/interleavings` compiles this file.
    #[cfg(test)]
    #[allow(dead_code)]
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Shows a chunk of a message to the session's viewers, if it has any and is running.
    pub fn show_chunk(&self, id: SessionId, chunk: Chunk, writer: Weak<Socket>) {
        show_chunk(&self.rooms, id, chunk, ChunkOrigin::Here, writer);
    }

    /// The same for chunks that come without a connection.
    pub fn relay(&self) -> Relay {
        Relay(Arc::downgrade(&self.rooms))
    }
}

/// Shows the chunks of engines in this process, and of other servers. It does not keep the rooms alive.
#[derive(Debug)]
pub(super) struct Relay(Weak<DashMap<SessionId, Room>>);

impl ChunkRelay for Relay {
    fn show(&self, session_id: SessionId, chunk: Chunk, origin: ChunkOrigin) {
        if let Some(rooms) = self.0.upgrade() {
            show_chunk(&rooms, session_id, chunk, origin, Weak::new());
        }
    }
}

fn show_chunk(
    rooms: &DashMap<SessionId, Room>,
    id: SessionId,
    chunk: Chunk,
    origin: ChunkOrigin,
    writer: Weak<Socket>,
) {
    // A message of a session that has ended, or has not begun, could never be finished.
    if let Some(room) = rooms.get(&id)
        && room.shared.live.head().session().status.is_live()
        && room.shared.streams.push(chunk, origin, writer)
    {
        room.shared.chunk.notify_one();
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        metrics::gauge!("relive_viewers").decrement(1);
        if let Entry::Occupied(room) = self.rooms.rooms.entry(self.viewer.session_id()) {
            let is_empty = {
                let mut viewers = room.get().shared.viewers.lock();
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
async fn show(mut subscription: Subscription, shared: Arc<Shared>) {
    let mut seen = subscription.head().session().revision;
    loop {
        let head = subscription.head();
        finish_streams(&subscription, &shared.streams, &mut seen, head.session().revision);
        if head.session().status.is_ended() {
            shared.streams.clear();
        }
        let broadcast = head.publication().take_broadcast();
        let present: Vec<Arc<Viewer>> = shared.viewers.lock().clone();
        for turn in present.chunks(TURN) {
            for viewer in turn {
                viewer.advance_or_mark(broadcast.as_ref());
            }
            tokio::task::yield_now().await;
        }
        drop(broadcast);
        if let Head::Deleted(_) = head {
            shared.has_ended.store(true, Ordering::Release);
            return;
        }
        tokio::select! {
            () = subscription.changed() => {}
            () = shared.chunk.notified() => {}
        }
    }
}

/// Ends the streams of messages that have been stored since the last call.
fn finish_streams(subscription: &Subscription, streams: &PartialMessages, seen: &mut Revision, head: Revision) {
    if *seen < head {
        // What is no longer in memory was stored so long ago that no more chunks of it arrive.
        for event in subscription.live().events_after(*seen).unwrap_or_default() {
            if let Event::MessageAdded(message) = &event.recorded().event {
                streams.finish(&message.message_id);
            }
        }
        *seen = head;
    }
}
