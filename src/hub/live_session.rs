//! One session in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::memory_estimate;
use super::publication::{Publication, RecordedFrame};
use crate::spans::Broadcast;
use crate::sync::{Mutex, watch};
use relive_session::{NodeId, Refusal, Revision, Session, SessionId, SessionIdentity, check_node};

/// Events kept for viewers that are slightly behind; older ones are read from the journal.
const RING_EVENTS: usize = 256;
/// Bytes of payload kept in the ring, estimated.
const RING_BYTES: usize = 1024 * 1024;
/// Command ids kept. Older ones are recognised by the database.
const RECENT_COMMANDS: usize = 512;

/// One session in memory: its staged state for deciding, its committed state for viewers.
#[derive(Debug)]
pub struct LiveSession {
    id: SessionId,
    /// Locked while a command is decided and queued in the lane, so that commands are written in the
    /// order they were decided in. Never held across an await.
    pub(super) staged: Mutex<Staged>,
    /// What viewers may see. Changed only by the session's lane, after a commit of this or another
    /// server, and by deletion.
    head: watch::Sender<Head>,
    /// The newest committed events. Filled before `head` moves, so that the events of a head that has
    /// been seen are here or in the journal.
    ring: Mutex<Ring>,
    children: ChildCount,
    /// Rooms in which it is shown to viewers; more than one only while one room replaces another.
    rooms: AtomicUsize,
}

/// How many children a session has, as lists show it.
#[derive(Debug, Default)]
pub(super) struct ChildCount {
    /// How often it has changed, and the number, if it was read since.
    state: Mutex<(u64, Option<u64>)>,
}

impl ChildCount {
    /// The number, or what [`ChildCount::learn`] needs once it was read.
    pub fn known(&self) -> Result<u64, u64> {
        let (generation, count) = *self.state.lock();
        count.ok_or(generation)
    }

    /// What was read; nothing if it has changed meanwhile.
    pub fn learn(&self, generation: u64, count: u64) {
        let mut state = self.state.lock();
        if state.0 == generation {
            state.1 = Some(count);
        }
    }

    /// It has changed.
    pub fn forget(&self) {
        let mut state = self.state.lock();
        *state = (state.0 + 1, None);
    }
}

/// The state of a session as its viewers see it.
#[derive(Clone, Debug)]
pub enum Head {
    At(Arc<Publication>),
    /// The session was deleted; this was its last state.
    Deleted(Arc<Publication>),
}

impl Head {
    #[must_use]
    pub fn publication(&self) -> &Arc<Publication> {
        match self {
            Self::At(publication) | Self::Deleted(publication) => publication,
        }
    }

    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        self.publication().session()
    }
}

/// The state that commands are decided on.
#[derive(Debug)]
pub(super) struct Staged {
    pub session: Arc<Session>,
    /// The generation: how often the staged state was discarded. Whatever was staged before is void.
    pub generation: u64,
    /// Entries on their way to the lane.
    pub queued: usize,
    /// True from a reload until every entry queued before it has reached the lane: those must be
    /// decided first, so all others are queued undecided.
    pub lane_decides: bool,
    pub recent: RecentCommands,
    /// No longer in the registry; holders of this value must look the session up again.
    pub retired: bool,
    subscribers: usize,
    last_used: Instant,
    /// The length of the driver's lease that this server has renewed, and until when it need not be renewed again.
    lease: Option<(u32, Instant)>,
}

/// Command ids with the revision each was answered with; the oldest are dropped first.
#[derive(Debug, Default)]
pub(super) struct RecentCommands {
    revisions: HashMap<Arc<str>, Revision>,
    order: VecDeque<Arc<str>>,
}

impl RecentCommands {
    pub fn get(&self, command_id: &str) -> Option<Revision> {
        self.revisions.get(command_id).copied()
    }

    pub fn insert(&mut self, command_id: Arc<str>, revision: Revision) {
        if self.revisions.insert(Arc::clone(&command_id), revision).is_none() {
            self.order.push_back(command_id);
        }
        if self.order.len() > RECENT_COMMANDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.revisions.remove(&oldest);
        }
    }

    pub fn clear(&mut self) {
        self.revisions.clear();
        self.order.clear();
    }
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<(Arc<RecordedFrame>, usize)>,
    bytes: usize,
}

impl Ring {
    fn push(&mut self, event: Arc<RecordedFrame>) {
        let bytes = memory_estimate::event(event.recorded());
        self.bytes += bytes;
        self.events.push_back((event, bytes));
        while self.events.len() > RING_EVENTS || (self.bytes > RING_BYTES && self.events.len() > 1) {
            self.bytes -= self.events.pop_front().map_or(0, |(_, bytes)| bytes);
        }
    }
}

impl LiveSession {
    pub(super) fn new(session: Arc<Session>) -> Arc<Self> {
        let staged = Staged {
            session: Arc::clone(&session),
            generation: 0,
            queued: 0,
            lane_decides: false,
            recent: RecentCommands::default(),
            retired: false,
            subscribers: 0,
            last_used: Instant::now(),
            lease: None,
        };
        Arc::new(Self {
            id: session.id,
            staged: Mutex::new(staged),
            head: watch::Sender::new(Head::At(Arc::new(Publication::new(session)))),
            ring: Mutex::default(),
            children: ChildCount::default(),
            rooms: AtomicUsize::new(0),
        })
    }

    /// From now on, until the guard is dropped, there are viewers.
    #[must_use]
    pub fn watched(self: &Arc<Self>) -> Watched {
        self.rooms.fetch_add(1, Ordering::Relaxed);
        Watched(Arc::clone(self))
    }

    /// Whether there are viewers on this server.
    pub(super) fn is_watched(&self) -> bool {
        self.rooms.load(Ordering::Relaxed) > 0
    }

    pub(super) fn children(&self) -> &ChildCount {
        &self.children
    }

    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    #[must_use]
    pub fn identity(&self) -> SessionIdentity {
        self.head.borrow().session().identity()
    }

    /// Whether the driver's lease of this length was renewed so recently that this need not be repeated.
    pub(super) fn has_lease_of(&self, seconds: u32) -> bool {
        self.staged.lock().lease.is_some_and(|(held, until)| held == seconds && Instant::now() < until)
    }

    pub(super) fn lease_written(&self, seconds: u32, until: Instant) {
        self.staged.lock().lease = Some((seconds, until));
    }

    /// Checks that the session has a node, or may have it, in the state that commands under way lead to.
    pub(super) fn check_node(&self, node_id: &NodeId) -> Result<(), Refusal> {
        let staged = self.staged.lock();
        match check_node(&staged.session, node_id) {
            // What is still to be decided may add it.
            Err(Refusal::UnknownNode { .. }) if staged.lane_decides => Ok(()),
            checked => checked,
        }
    }

    /// What viewers may see now.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head.borrow().clone()
    }

    /// The committed events after `revision` up to the newest; `None` if they are no longer in memory and
    /// must be read from the journal.
    #[must_use]
    pub fn events_after(&self, revision: Revision) -> Option<Vec<Arc<RecordedFrame>>> {
        let ring = self.ring.lock();
        let newest = ring.events.back()?.0.recorded().revision;
        if revision >= newest {
            return Some(Vec::new());
        }
        let missing = usize::try_from(newest - revision).ok()?;
        let start = ring.events.len().checked_sub(missing)?;
        Some(ring.events.iter().skip(start).map(|(event, _)| Arc::clone(event)).collect())
    }

    /// Publishes a committed state and the events that led to it.
    pub(super) fn publish(&self, session: Arc<Session>, events: impl Iterator<Item = Arc<RecordedFrame>>) {
        self.publish_to(session, events, None);
    }

    /// As [`LiveSession::publish`], with what records the way to the viewers.
    pub(super) fn publish_to(
        &self,
        session: Arc<Session>,
        events: impl Iterator<Item = Arc<RecordedFrame>>,
        broadcast: Option<Arc<Broadcast>>,
    ) {
        // Its head stays where it is, and its events with it: the same ones may be published again.
        if self.is_deleted() {
            return;
        }
        {
            let mut ring = self.ring.lock();
            events.for_each(|event| ring.push(event));
        }
        self.show_to(session, broadcast);
    }

    pub(super) fn is_deleted(&self) -> bool {
        matches!(*self.head.borrow(), Head::Deleted(_))
    }

    fn show(&self, session: Arc<Session>) {
        self.show_to(session, None);
    }

    /// A deleted session stays deleted, even if a commit of it is published later.
    fn show_to(&self, session: Arc<Session>, broadcast: Option<Arc<Broadcast>>) {
        self.head.send_if_modified(|head| {
            let is_there = matches!(head, Head::At(_));
            if is_there {
                let broadcast = replacing(broadcast, head.publication().take_broadcast());
                *head = Head::At(Arc::new(Publication::new(session).broadcast(broadcast)));
            }
            is_there
        });
    }

    /// Replaces the state by one that another writer has committed. Its events are in the journal only.
    pub(super) fn reload(&self, session: Arc<Session>) {
        self.restage(&session);
        let moved_on = self.head.borrow().session().revision != session.revision;
        if moved_on {
            *self.ring.lock() = Ring::default();
            self.show(session);
        }
    }

    /// Commands are decided on this state from now on. Whatever was staged and not written is void.
    pub(super) fn restage(&self, session: &Arc<Session>) {
        let mut staged = self.staged.lock();
        staged.session = Arc::clone(session);
        staged.generation += 1;
        staged.lane_decides = staged.queued > 0;
        staged.recent.clear();
    }

    /// The session was deleted from the database.
    pub(super) fn retire_deleted(&self) {
        self.staged.lock().retired = true;
        self.head.send_modify(|head| *head = Head::Deleted(Arc::clone(head.publication())));
    }

    /// Retires the session if it was unused for `idle_after` and nothing is pending.
    pub(super) fn retire_if_idle(&self, idle_after: Duration) -> bool {
        let mut staged = self.staged.lock();
        let committed = self.head.borrow().session().revision == staged.session.revision;
        let idle =
            staged.subscribers == 0 && staged.queued == 0 && committed && staged.last_used.elapsed() >= idle_after;
        staged.retired |= idle;
        staged.retired
    }

    /// Follows the session; `None` if it has been retired and must be looked up again.
    pub(super) fn subscribe(self: &Arc<Self>) -> Option<Subscription> {
        let mut staged = self.staged.lock();
        if staged.retired {
            return None;
        }
        staged.subscribers += 1;
        Some(Subscription { head: self.head.subscribe(), live: Arc::clone(self) })
    }
}

/// Viewers that have not been shown an earlier state are shown the newer one instead.
fn replacing(broadcast: Option<Arc<Broadcast>>, earlier: Option<Arc<Broadcast>>) -> Option<Arc<Broadcast>> {
    match (broadcast, earlier) {
        (Some(broadcast), Some(earlier)) => {
            broadcast.replaces(&earlier);
            Some(broadcast)
        }
        (one, other) => one.or(other),
    }
}

impl Staged {
    pub fn touch(&mut self) {
        self.last_used = Instant::now();
    }
}

/// There are viewers until it is dropped.
#[derive(Debug)]
pub struct Watched(Arc<LiveSession>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.rooms.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps a session in memory for a viewer or an engine until dropped.
#[derive(Debug)]
pub struct Subscription {
    live: Arc<LiveSession>,
    head: watch::Receiver<Head>,
}

impl Subscription {
    #[must_use]
    pub fn live(&self) -> &Arc<LiveSession> {
        &self.live
    }

    /// The newest committed state; marks it as seen for [`Subscription::changed`].
    pub fn head(&mut self) -> Head {
        self.head.borrow_and_update().clone()
    }

    /// Waits until the head moves past what [`Subscription::head`] returned last. Cancel-safe.
    pub async fn changed(&mut self) {
        // The sender lives in `self.live`, so it cannot have been dropped.
        let _ = self.head.changed().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut staged = self.live.staged.lock();
        staged.subscribers -= 1;
        staged.touch();
    }
}
