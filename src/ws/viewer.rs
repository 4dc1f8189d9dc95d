//! One client's view of one session: a cursor, and what it takes to move it on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::frames;
use super::gateway::metrics;
use super::socket::{Offer, Socket};
use crate::hub::{Head, Live, Publication, RecordedFrame};
use crate::protocol::{Mode, Subscribe};
use crate::session::{Recorded, Revision, Session, SessionId};

/// A subscription. The room's task and the connection's task both move it on, one at a time.
#[derive(Debug)]
pub(super) struct Viewer {
    socket: Arc<Socket>,
    live: Arc<Live>,
    mode: Mode,
    min_interval: Duration,
    /// Locked while frames are offered; never across an await.
    cursor: Mutex<Cursor>,
    /// The room's task could not move this viewer on; the connection's task should.
    attention: AtomicBool,
}

#[derive(Debug)]
struct Cursor {
    /// The last revision the client holds.
    revision: Revision,
    /// The state at that revision, as the base of the next delta; `None` until a first snapshot.
    base: Option<Arc<Session>>,
    /// Not before this, when the client asked for a slower pace.
    not_before: Option<Instant>,
    end_sent: bool,
}

/// Where a viewer stands after it was moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The client holds the newest.
    UpToDate,
    /// The client cannot take more now.
    Blocked,
    /// The client asked for a pause until then.
    NotBefore(Instant),
    /// What comes next is no longer in memory: read it after [`Viewer::held_revision`].
    NeedsJournal,
    /// The session was deleted.
    Deleted,
}

impl Viewer {
    pub fn new(socket: Arc<Socket>, live: Arc<Live>, subscribe: &Subscribe) -> Self {
        let head = Arc::clone(live.head().session());
        let mode = subscribe.mode.unwrap_or_default();
        // A client that claims to be ahead of the server is shown the whole state.
        let held = subscribe.after.filter(|after| *after <= head.revision);
        let is_ahead = subscribe.after.is_some() && held.is_none();
        let up_to_date = held == Some(head.revision);
        let cursor = Cursor {
            revision: held.unwrap_or(0),
            base: (up_to_date && mode != Mode::Events).then_some(head),
            not_before: None,
            end_sent: false,
        };
        let viewer = Self {
            socket,
            live,
            mode,
            min_interval: Duration::from_millis(subscribe.min_interval_ms.unwrap_or(0)),
            cursor: Mutex::new(cursor),
            attention: AtomicBool::new(false),
        };
        if is_ahead && mode == Mode::Events {
            viewer.start_over();
        }
        viewer
    }

    /// Events mode: a whole snapshot first, then the events after it.
    fn start_over(&self) {
        let head = self.live.head();
        self.socket.send(frames::snapshot(head.publication()));
        self.cursor.lock().revision = head.session().revision;
    }

    pub fn session_id(&self) -> SessionId {
        self.live.id()
    }

    /// Offers what the client is missing, as its mode prescribes, until it holds the newest or
    /// cannot be moved on.
    pub fn move_on(&self) -> Progress {
        let mut cursor = self.cursor.lock();
        let head = self.live.head();
        if let Head::Deleted(_) = head {
            return Progress::Deleted;
        }
        let progress = match self.mode {
            Mode::Events => self.offer_events(&mut cursor, head.session().revision),
            Mode::Snapshot | Mode::Delta => self.offer_state(&mut cursor, head.publication()),
        };
        if progress == Progress::UpToDate { self.offer_end(&mut cursor, head.publication()) } else { progress }
    }

    fn offer_state(&self, cursor: &mut Cursor, publication: &Publication) -> Progress {
        let head = publication.session();
        if cursor.revision >= head.revision && cursor.base.is_some() {
            return Progress::UpToDate;
        }
        // The last state is never held back.
        if let Some(not_before) = cursor.not_before
            && !head.status.is_ended()
            && Instant::now() < not_before
        {
            return Progress::NotBefore(not_before);
        }
        let delta = match &cursor.base {
            Some(base) if self.mode == Mode::Delta => frames::delta(publication, base),
            _ => None,
        };
        let frame = delta.unwrap_or_else(|| frames::snapshot(publication));
        if self.socket.offer(&frame) != Offer::Taken {
            return Progress::Blocked;
        }
        if cursor.base.is_some() {
            metrics().conflated(head.revision - cursor.revision - 1);
        }
        cursor.revision = head.revision;
        cursor.base = Some(Arc::clone(head));
        if !self.min_interval.is_zero() {
            cursor.not_before = Some(Instant::now() + self.min_interval);
        }
        Progress::UpToDate
    }

    fn offer_events(&self, cursor: &mut Cursor, head: Revision) -> Progress {
        if cursor.revision >= head {
            return Progress::UpToDate;
        }
        let Some(events) = self.live.events_after(cursor.revision) else {
            return Progress::NeedsJournal;
        };
        for event in &events {
            if self.socket.offer(&frames::event(event)) != Offer::Taken {
                return Progress::Blocked;
            }
            cursor.revision = event.recorded().revision;
        }
        Progress::UpToDate
    }

    fn offer_end(&self, cursor: &mut Cursor, publication: &Publication) -> Progress {
        if publication.session().status.is_ended() && !cursor.end_sent {
            if self.socket.offer(&frames::end(publication)) != Offer::Taken {
                return Progress::Blocked;
            }
            cursor.end_sent = true;
        }
        Progress::UpToDate
    }

    /// The revision after which the journal has to be read.
    pub fn held_revision(&self) -> Revision {
        self.cursor.lock().revision
    }

    /// Offers events that were read from the journal; false when the client cannot take more now.
    pub fn offer_from_journal(&self, events: Vec<Recorded>) -> bool {
        let mut cursor = self.cursor.lock();
        for recorded in events {
            // The room's task may have moved the cursor meanwhile.
            if recorded.revision != cursor.revision + 1 {
                continue;
            }
            let revision = recorded.revision;
            if self.socket.offer(&frames::event(&RecordedFrame::new(recorded))) != Offer::Taken {
                return false;
            }
            cursor.revision = revision;
        }
        true
    }

    /// Called by the room's task: what it cannot do at once it leaves to the connection's task.
    pub fn move_on_or_call(&self) {
        if self.move_on() != Progress::UpToDate {
            self.attention.store(true, Ordering::Release);
            self.socket.wake.notify_one();
        }
    }

    /// Keeps the viewer marked for the connection's next look.
    pub fn call_again(&self) {
        self.attention.store(true, Ordering::Release);
    }

    pub fn take_attention(&self) -> bool {
        self.attention.swap(false, Ordering::Acquire)
    }
}
