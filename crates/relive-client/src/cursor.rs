//! The cursor of a subscription: what it has been shown, and what follows for the next frame. Pure.

use relive_protocol::{Mode, ServerFrame, Subscribe};
use relive_session::Revision;

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameVerdict {
    Deliver,
    /// Shown before, or not to be shown now.
    Ignore,
    /// Something before it is missing: subscribe again from the cursor.
    Resync,
}

/// The position of a subscription in its session.
#[derive(Clone, Debug)]
pub(super) struct ResumeCursor {
    wanted: Subscribe,
    shown: Option<Revision>,
    /// Messages and log lines arrive besides the events, under the revision of the event that stored them.
    text: Option<Revision>,
}

impl ResumeCursor {
    pub(super) fn new(wanted: Subscribe) -> Self {
        let shown = wanted.after;
        Self { wanted, shown, text: shown }
    }

    /// The subscribe frame that continues from here.
    ///
    /// With messages or log lines, the last event is requested again, since its text may not have arrived; what
    /// has been shown is then ignored.
    pub(super) fn resume(&self) -> Subscribe {
        let with_texts = self.wanted.messages == Some(true) || self.wanted.logs == Some(true);
        let again = self.mode() == Mode::Events && with_texts && self.text < self.shown;
        let after = self.shown.map(|shown| if again { shown.saturating_sub(1) } else { shown });
        Subscribe { after, ..self.wanted.clone() }
    }

    pub(super) fn judge(&self, frame: &ServerFrame) -> FrameVerdict {
        match frame {
            ServerFrame::Event { revision, .. } => self.judge_event(*revision),
            ServerFrame::Delta { base, revision, .. } => match self.shown {
                Some(shown) if *revision <= shown => FrameVerdict::Ignore,
                Some(shown) if *base == shown => FrameVerdict::Deliver,
                _ => FrameVerdict::Resync,
            },
            ServerFrame::Message { revision, .. } | ServerFrame::Log { revision, .. }
                if self.text.is_some_and(|shown| *revision <= shown) =>
            {
                FrameVerdict::Ignore
            }
            // If the end were delivered before the events that led to it, they would be lost.
            ServerFrame::End { revision, .. } if self.mode() == Mode::Events => match self.shown {
                Some(shown) if *revision > shown => FrameVerdict::Resync,
                _ => FrameVerdict::Deliver,
            },
            // A snapshot is complete. The server sends an older one only if the client was ahead of it, and then the
            // server is right.
            _ => FrameVerdict::Deliver,
        }
    }

    /// Records that the frame was shown.
    pub(super) fn advance(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Event { revision, .. } | ServerFrame::Delta { revision, .. } => self.shown = Some(*revision),
            ServerFrame::Snapshot { revision, .. } => {
                self.shown = Some(*revision);
                self.text = self.text.min(Some(*revision));
            }
            ServerFrame::Message { revision, .. } | ServerFrame::Log { revision, .. } => self.text = Some(*revision),
            _ => {}
        }
    }

    fn judge_event(&self, revision: Revision) -> FrameVerdict {
        match self.shown {
            Some(shown) if revision <= shown => FrameVerdict::Ignore,
            Some(shown) if revision > shown + 1 => FrameVerdict::Resync,
            _ => FrameVerdict::Deliver,
        }
    }

    fn mode(&self) -> Mode {
        self.wanted.mode.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use relive_session::{Event, SessionId, SessionStatus, Timestamp};

    fn cursor(mode: Mode, after: Option<Revision>, texts: bool) -> ResumeCursor {
        let session_id = SessionId(uuid::Uuid::nil());
        ResumeCursor::new(Subscribe {
            session_id,
            mode: Some(mode),
            after,
            messages: None,
            logs: Some(texts),
            min_interval_ms: None,
        })
    }

    fn event(revision: Revision) -> ServerFrame {
        let at = Timestamp::from_millis(0).expect("the epoch");
        ServerFrame::Event {
            by: None,
            session_id: SessionId(uuid::Uuid::nil()),
            revision,
            at,
            event: Event::Paused { held: false },
        }
    }

    fn end(revision: Revision) -> ServerFrame {
        ServerFrame::End { session_id: SessionId(uuid::Uuid::nil()), status: SessionStatus::Completed, revision }
    }

    fn delta(base: Revision, revision: Revision) -> ServerFrame {
        let session_id = SessionId(uuid::Uuid::nil());
        ServerFrame::Delta { session_id, base, revision, patch: serde_json::Map::new() }
    }

    #[test]
    fn an_end_ahead_of_its_events_is_not_believed() {
        let mut cursor = cursor(Mode::Events, Some(4), false);
        assert_eq!(cursor.judge(&end(5)), FrameVerdict::Resync);
        cursor.advance(&event(5));
        assert_eq!(cursor.judge(&end(5)), FrameVerdict::Deliver);
    }

    #[test]
    fn a_delta_must_fit_what_was_shown() {
        let cursor = cursor(Mode::Delta, Some(4), false);
        assert_eq!(cursor.judge(&delta(4, 6)), FrameVerdict::Deliver);
        assert_eq!(cursor.judge(&delta(2, 4)), FrameVerdict::Ignore);
        assert_eq!(cursor.judge(&delta(5, 6)), FrameVerdict::Resync);
    }

    #[test]
    fn with_texts_the_last_event_is_asked_for_again() {
        let mut cursor = cursor(Mode::Events, Some(4), true);
        assert_eq!(cursor.resume().after, Some(4));
        cursor.advance(&event(5));
        assert_eq!(cursor.resume().after, Some(4));
        assert_eq!(cursor.judge(&event(5)), FrameVerdict::Ignore);
    }

    proptest! {
        /// Whatever is repeated, lost or cut off, each event is shown once and in order.
        #[test]
        fn events_are_shown_once_and_in_order(frames in prop::collection::vec(1..12_u64, 0..80)) {
            let mut cursor = cursor(Mode::Events, Some(0), false);
            let mut shown = Vec::new();
            for revision in frames {
                if cursor.judge(&event(revision)) == FrameVerdict::Deliver {
                    cursor.advance(&event(revision));
                    shown.push(revision);
                }
                prop_assert_eq!(cursor.resume().after, Some(shown.len() as u64));
            }
            prop_assert_eq!(&shown, &(1..=shown.len() as u64).collect::<Vec<_>>());
        }
    }
}
