//! One client's view of one session: a cursor, and how it is advanced.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::client::Client;
use super::frames;
use super::message_chunks::{Offsets, PartialMessages};
use super::metrics::metrics;
use super::socket::Offer;
use crate::hub::{Head, LiveSession, Publication, RecordedFrame};
use crate::spans::Broadcast;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};
use relive_protocol::{Mode, Subscribe};
use relive_session::{Event, Recorded, Revision, Session, SessionId, Text, Texts};

/// A subscription. The room's task and the connection's task both advance it, one at a time.
#[derive(Debug)]
pub(super) struct Viewer {
    client: Client,
    live: Arc<LiveSession>,
    streams: Arc<PartialMessages>,
    mode: Mode,
    texts: Texts,
    min_interval: Duration,
    /// Locked while frames are offered; never across an await.
    cursor: Mutex<ViewerCursor>,
    /// The room's task could not advance this viewer; the connection's task should.
    attention: AtomicBool,
}

#[derive(Debug)]
struct ViewerCursor {
    /// The last revision the client holds.
    revision: Revision,
    /// Messages and log lines up to this revision have been sent. Never behind `revision`: a text is sent before
    /// the event or the state that contains it, so that a client that resumes there has missed none.
    texts: Revision,
    /// The state at that revision, as the base of the next delta; `None` until a first snapshot.
    base: Option<Arc<Session>>,
    /// Not before this, if the client asked for a slower pace.
    not_before: Option<Instant>,
    end_sent: bool,
    /// The client is sent nothing more by this viewer.
    has_left: bool,
    /// The client's offsets in messages that are still being written.
    offsets: Offsets,
    /// Checked before a newer state is shown, if the client may read the session only as long as that has a tag.
    may_read: Option<MayRead>,
    /// To be told when the client holds the newest.
    broadcast: Option<Arc<Broadcast>>,
}

/// Whether a session may be shown to the client as it is now.
#[derive(Clone)]
pub(super) struct MayRead(pub Arc<dyn Fn(&Session) -> bool + Send + Sync>);

impl fmt::Debug for MayRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MayRead")
    }
}

/// What a client holds of a session.
#[derive(Clone, Debug)]
pub(super) struct ClientState {
    pub revision: Revision,
    /// Messages and log lines up to this revision.
    pub texts: Revision,
    /// The state at `revision`; none in events mode.
    pub base: Option<Arc<Session>>,
}

impl ViewerCursor {
    fn held(&self) -> ClientState {
        ClientState { revision: self.revision, texts: self.texts, base: self.base.clone() }
    }
}

/// The result of advancing a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ViewerStep {
    /// The client holds the newest.
    UpToDate,
    /// The client cannot take more now.
    Blocked,
    /// The client asked for a pause until then.
    NotBefore(Instant),
    /// The next events are no longer in memory.
    NeedsJournal(NeededRead),
    /// The session was deleted.
    Deleted,
    /// The client may not read the session any more. Nothing is shown until it may again.
    Forbidden,
}

/// What has to be read for a viewer that is far behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NeededRead {
    Events { after: Revision },
    Texts { after: Revision, up_to: Revision },
}

/// The client cannot take more now.
struct Busy;

impl Viewer {
    pub fn new(client: Client, live: Arc<LiveSession>, streams: Arc<PartialMessages>, subscribe: &Subscribe) -> Self {
        let head = Arc::clone(live.head().session());
        let mode = subscribe.mode.unwrap_or_default();
        // A client that claims to be ahead of the server is sent the whole state.
        let held = subscribe.after.filter(|after| *after <= head.revision);
        let is_ahead = subscribe.after.is_some() && held.is_none();
        let up_to_date = held == Some(head.revision);
        let cursor = ViewerCursor {
            revision: held.unwrap_or(0),
            texts: held.unwrap_or(if mode == Mode::Events { 0 } else { head.revision }),
            base: (up_to_date && mode != Mode::Events).then_some(head),
            not_before: None,
            end_sent: false,
            has_left: false,
            offsets: Offsets::new(),
            may_read: None,
            broadcast: None,
        };
        let viewer = Self {
            client,
            live,
            streams,
            mode,
            texts: Texts { messages: subscribe.messages.unwrap_or(false), logs: subscribe.logs.unwrap_or(false) },
            min_interval: Duration::from_millis(subscribe.min_interval_ms.unwrap_or(0)),
            cursor: Mutex::new(cursor),
            attention: AtomicBool::new(false),
        };
        if is_ahead && mode == Mode::Events {
            viewer.start_over();
        }
        viewer
    }

    /// A viewer for a client that already holds `held`: a replay that has reached the live edge. `base` is that
    /// state, if the mode needs one.
    pub fn resumed(self, held: ClientState) -> Self {
        {
            let mut cursor = self.cursor.lock();
            let ClientState { revision, texts, base } = held;
            (cursor.revision, cursor.texts, cursor.base) = (revision, texts, base);
        }
        self
    }

    /// Checks `may_read` from now on.
    pub fn restrict(&self, may_read: Option<MayRead>) {
        self.cursor.lock().may_read = may_read;
    }

    /// What the client holds now.
    pub fn held(&self) -> ClientState {
        self.cursor.lock().held()
    }

    /// Stops this viewer; returns what the client holds.
    pub fn leave(&self) -> ClientState {
        let mut cursor = self.cursor.lock();
        cursor.has_left = true;
        cursor.broadcast = None;
        cursor.held()
    }

    /// Whether the client was sent the session's end.
    pub fn has_told_end(&self) -> bool {
        self.cursor.lock().end_sent
    }

    /// Events mode: a whole snapshot first, then the events after it.
    fn start_over(&self) {
        let head = self.live.head();
        let revision = head.session().revision;
        self.client.send(frames::snapshot(head.publication()), Some(revision));
        let mut cursor = self.cursor.lock();
        cursor.revision = revision;
        cursor.texts = cursor.revision;
    }

    pub fn session_id(&self) -> SessionId {
        self.live.id()
    }

    /// The texts that the client wants.
    pub fn texts(&self) -> Texts {
        self.texts
    }

    /// Offers what the client is missing, as its mode prescribes, until it holds the newest or
    /// cannot take more.
    pub fn advance(&self) -> ViewerStep {
        self.step(None)
    }

    /// As [`Viewer::advance`]; `broadcast` is told when the client holds the newest.
    fn step(&self, broadcast: Option<&Arc<Broadcast>>) -> ViewerStep {
        let mut cursor = self.cursor.lock();
        if cursor.has_left {
            return ViewerStep::UpToDate;
        }
        let head = self.live.head();
        if let Head::Deleted(_) = head {
            return ViewerStep::Deleted;
        }
        if cursor.may_read.as_ref().is_some_and(|MayRead(may_read)| !may_read(head.session())) {
            cursor.broadcast = None;
            return ViewerStep::Forbidden;
        }
        if let Some(broadcast) = broadcast {
            // One that it has not come to is not waited for any longer.
            cursor.broadcast = Some(Arc::clone(broadcast));
        }
        let progress = match self.mode {
            Mode::Events => self.offer_events(&mut cursor, head.session().revision),
            Mode::Snapshot | Mode::Delta => self.offer_texts_and_state(&mut cursor, head.publication()),
        };
        if progress != ViewerStep::UpToDate {
            return progress;
        }
        // A chunk may have arrived just before the end; after it there is none.
        let is_written = self.texts.messages && head.session().status.is_live();
        if is_written && self.offer_tokens(&mut cursor).is_err() {
            return ViewerStep::Blocked;
        }
        let progress = self.offer_end(&mut cursor, head.publication());
        if progress == ViewerStep::UpToDate {
            self.client.caught_up();
            if let Some(broadcast) = cursor.broadcast.take() {
                broadcast.handed_over();
            }
        }
        progress
    }

    fn offer_tokens(&self, cursor: &mut ViewerCursor) -> Result<(), Busy> {
        for (message_id, offset, frame) in self.streams.missing(&mut cursor.offsets, &self.client) {
            self.offer(&frame, None)?;
            cursor.offsets.insert(message_id, offset);
        }
        Ok(())
    }

    /// `resume`: the revision that the client holds completely with this frame.
    fn offer(&self, frame: &Bytes, resume: Option<Revision>) -> Result<(), Busy> {
        if self.client.offer(frame, resume) == Offer::Taken { Ok(()) } else { Err(Busy) }
    }

    fn offer_texts_and_state(&self, cursor: &mut ViewerCursor, publication: &Publication) -> ViewerStep {
        let up_to = publication.session().revision;
        if self.texts.any() && cursor.texts < up_to {
            let Some(events) = self.live.events_after(cursor.texts) else {
                return ViewerStep::NeedsJournal(NeededRead::Texts { after: cursor.texts, up_to });
            };
            for event in events.iter().filter(|event| event.recorded().revision <= up_to) {
                if self.offer_text_of(cursor, event).is_err() {
                    return ViewerStep::Blocked;
                }
            }
        }
        self.offer_state(cursor, publication)
    }

    fn offer_text_of(&self, cursor: &mut ViewerCursor, event: &RecordedFrame) -> Result<(), Busy> {
        if let Some(frame) = frames::text_of(event, self.texts) {
            self.finish_stream(event);
            self.offer(&frame, None)?;
        }
        cursor.texts = event.recorded().revision;
        Ok(())
    }

    /// No chunk of a message may follow the message itself.
    fn finish_stream(&self, event: &RecordedFrame) {
        if let Event::MessageAdded(message) = &event.recorded().event {
            self.streams.finish(&message.message_id);
        }
    }

    fn offer_state(&self, cursor: &mut ViewerCursor, publication: &Publication) -> ViewerStep {
        let head = publication.session();
        if cursor.revision >= head.revision && cursor.base.is_some() {
            return ViewerStep::UpToDate;
        }
        // The last state is never delayed.
        if let Some(not_before) = cursor.not_before
            && !head.status.is_ended()
            && Instant::now() < not_before
        {
            return ViewerStep::NotBefore(not_before);
        }
        let delta = match &cursor.base {
            Some(base) if self.mode == Mode::Delta => frames::delta(publication, base),
            _ => None,
        };
        let frame = delta.unwrap_or_else(|| frames::snapshot(publication));
        if self.offer(&frame, Some(head.revision)).is_err() {
            return ViewerStep::Blocked;
        }
        if cursor.base.is_some() {
            metrics().conflated(head.revision - cursor.revision - 1);
        }
        cursor.revision = head.revision;
        cursor.base = Some(Arc::clone(head));
        if !self.min_interval.is_zero() {
            cursor.not_before = Some(Instant::now() + self.min_interval);
        }
        ViewerStep::UpToDate
    }

    fn offer_events(&self, cursor: &mut ViewerCursor, head: Revision) -> ViewerStep {
        if cursor.revision >= head {
            return ViewerStep::UpToDate;
        }
        let Some(events) = self.live.events_after(cursor.revision) else {
            return ViewerStep::NeedsJournal(NeededRead::Events { after: cursor.revision });
        };
        for event in &events {
            if self.offer_event(cursor, event).is_err() {
                return ViewerStep::Blocked;
            }
        }
        ViewerStep::UpToDate
    }

    fn offer_event(&self, cursor: &mut ViewerCursor, event: &RecordedFrame) -> Result<(), Busy> {
        let revision = event.recorded().revision;
        if cursor.texts < revision {
            self.offer_text_of(cursor, event)?;
        }
        self.offer(&frames::event(event), Some(revision))?;
        cursor.revision = revision;
        Ok(())
    }

    fn offer_end(&self, cursor: &mut ViewerCursor, publication: &Publication) -> ViewerStep {
        if publication.session().status.is_ended() && !cursor.end_sent {
            let revision = publication.session().revision;
            if self.offer(&frames::end(publication), Some(revision)).is_err() {
                return ViewerStep::Blocked;
            }
            cursor.end_sent = true;
        }
        ViewerStep::UpToDate
    }

    /// Offers events that were read from the journal, with their texts; false if
    /// the client cannot take more now.
    pub fn offer_stored_events(&self, events: Vec<Recorded>) -> bool {
        let mut cursor = self.cursor.lock();
        // The room's task may have moved the cursor meanwhile.
        let held = cursor.revision;
        let mut missing = events.into_iter().filter(|recorded| recorded.revision > held);
        missing.all(|recorded| self.offer_event(&mut cursor, &RecordedFrame::new(recorded)).is_ok())
    }

    /// Offers texts that were read from the database, complete up to `up_to`; false if the client cannot take more
    /// now.
    pub fn offer_stored_texts(&self, texts: Vec<(Revision, Text)>, up_to: Revision) -> bool {
        let mut cursor = self.cursor.lock();
        for (revision, text) in texts {
            if revision <= cursor.texts {
                continue;
            }
            if let Text::Message(message) = &text {
                self.streams.finish(&message.id);
            }
            if self.offer(&frames::stored_text(revision, text), None).is_err() {
                return false;
            }
            cursor.texts = revision;
        }
        cursor.texts = cursor.texts.max(up_to);
        true
    }

    /// Called by the room's task. If the viewer cannot be advanced at once, it is marked for the connection's task.
    pub fn advance_or_mark(&self, broadcast: Option<&Arc<Broadcast>>) {
        if self.step(broadcast) != ViewerStep::UpToDate {
            self.mark_again();
            self.client.wake();
        }
    }

    /// Keeps the viewer marked for the connection's next turn.
    pub fn mark_again(&self) {
        self.attention.store(true, Ordering::Release);
    }

    pub fn take_mark(&self) -> bool {
        self.attention.swap(false, Ordering::Acquire)
    }
}
