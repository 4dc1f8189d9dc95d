//! Shows what is due, as the replay's mode prescribes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::Replay;
use crate::replay::{Next, ReplayError, Speed};
use crate::storage::StoredEvent;
use crate::ws::frames;
use crate::ws::metrics::metrics;
use crate::ws::socket::Offer;
use relive_protocol::Mode;
use relive_session::Session;

/// Events shown before the connection handles other events.
const TURN: usize = 512;
/// Bytes of events that are written together, unless a single one has more.
const BATCH_BYTES: usize = 32 * 1024;

/// The result of showing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Everything that is due and has been read.
    All,
    /// As much as one turn allows.
    Some,
    /// The client cannot take more now.
    Blocked,
    /// The client asked for a pause until then.
    HeldBack(Instant),
}

impl Replay {
    /// The first frame: the state where the range begins, or in events mode its event.
    pub(super) fn send_first(&mut self, event: Option<StoredEvent>) {
        if let Some(event) = event {
            let frames = self.event_frames(event);
            self.socket.send(frames);
        } else {
            self.send_state();
        }
    }

    /// Shows what was read and is due.
    pub(super) fn show_due(&mut self) -> Result<Shown, ReplayError> {
        match self.request.mode {
            Mode::Events => self.show_events(),
            Mode::Snapshot | Mode::Delta => self.show_states(),
        }
    }

    fn show_events(&mut self) -> Result<Shown, ReplayError> {
        for _ in 0..TURN {
            let wall = self.wall();
            let mut batch = BytesMut::new();
            while batch.len() < BATCH_BYTES && self.player.next(wall) == Next::Due {
                let Some(event) = self.player.advance()? else { break };
                batch.extend_from_slice(&self.event_frames(event));
            }
            if batch.is_empty() {
                return Ok(Shown::All);
            }
            self.pending = Some(batch.freeze());
            if !self.flush_pending() {
                return Ok(Shown::Blocked);
            }
        }
        Ok(Shown::Some)
    }

    fn show_states(&mut self) -> Result<Shown, ReplayError> {
        // At full speed the client sets the pace, so nothing is skipped.
        let conflates = self.player.playhead().pace().speed() != Speed::Max;
        for _ in 0..TURN {
            let next = self.player.next(self.wall());
            // More may be due than was read.
            let folds_on = conflates && matches!(next, Next::Due | Next::Unread);
            if self.has_unsent() && !(self.is_catching_up && folds_on) {
                match self.held_back_until() {
                    Some(_) if folds_on => {}
                    Some(until) => return Ok(Shown::HeldBack(until)),
                    None if self.offer_state() => {}
                    None => {
                        self.is_catching_up = conflates;
                        return Ok(Shown::Blocked);
                    }
                }
            }
            if next != Next::Due {
                return Ok(Shown::All);
            }
            let Some(event) = self.player.advance()? else { return Ok(Shown::All) };
            self.pending = self.text_frame(event);
            if !self.flush_pending() {
                self.is_catching_up = conflates;
                return Ok(Shown::Blocked);
            }
        }
        Ok(Shown::Some)
    }

    /// Whether the client has taken all pending frames.
    pub(super) fn flush_pending(&mut self) -> bool {
        let Some(frames) = self.pending.take() else { return true };
        let is_taken = self.socket.offer(&frames) == Offer::Taken;
        if !is_taken {
            self.pending = Some(frames);
        }
        is_taken
    }

    /// Sends what the client was too busy for, so that it holds what the player has reached. Called before an
    /// answer with the position; the client's answers are bounded.
    pub(super) fn send_unsent(&mut self) {
        if let Some(frames) = self.pending.take() {
            self.socket.send(frames);
        }
        if self.has_unsent() {
            self.send_state();
        }
    }

    /// Sends the event that was stepped to.
    pub(super) fn send_step(&mut self, event: StoredEvent) {
        let frames = match self.request.mode {
            Mode::Events => Some(self.event_frames(event)),
            Mode::Snapshot | Mode::Delta => self.text_frame(event),
        };
        if let Some(frames) = frames {
            self.socket.send(frames);
        }
        self.send_unsent();
    }

    fn send_state(&mut self) {
        if let Some((frame, state)) = self.state_frame() {
            self.socket.send(frame);
            self.has_sent(state);
        }
    }

    fn offer_state(&mut self) -> bool {
        let Some((frame, state)) = self.state_frame() else { return true };
        let is_taken = self.socket.offer(&frame) == Offer::Taken;
        if is_taken {
            self.has_sent(state);
        }
        is_taken
    }

    fn state_frame(&self) -> Option<(Bytes, Session)> {
        let state = self.player.state()?;
        let delta = match &self.base {
            Some(base) if self.request.mode == Mode::Delta => frames::delta_between(base, state),
            _ => None,
        };
        Some((delta.unwrap_or_else(|| frames::snapshot_of(state)), state.clone()))
    }

    fn has_sent(&mut self, state: Session) {
        if let Some(base) = &self.base {
            metrics().conflated(state.revision.saturating_sub(base.revision + 1));
        }
        self.is_catching_up = false;
        self.base = Some(Arc::new(state));
        if !self.request.min_interval.is_zero() {
            self.not_before = Instant::now().checked_add(self.request.min_interval);
        }
    }

    fn has_unsent(&self) -> bool {
        let sent = self.base.as_ref().map(|base| base.revision);
        self.player.state().is_some_and(|state| Some(state.revision) != sent)
    }

    /// The last state is never delayed.
    fn held_back_until(&self) -> Option<Instant> {
        self.not_before.filter(|until| Instant::now() < *until && !self.player.is_at_end())
    }

    /// An event, after the text it added.
    fn event_frames(&mut self, event: StoredEvent) -> Bytes {
        let frame = frames::stored_event(self.request.session_id, &event);
        match self.text_frame(event) {
            Some(text) => [text, frame].concat().into(),
            None => frame,
        }
    }

    /// The message or log line that an event added, unless the client has it.
    fn text_frame(&mut self, event: StoredEvent) -> Option<Bytes> {
        if event.revision <= self.texts {
            return None;
        }
        self.texts = event.revision;
        Some(frames::stored_text(event.revision, *event.text?))
    }
}
