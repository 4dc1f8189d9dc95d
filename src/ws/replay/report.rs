//! `replayState` frames: after every control, and regularly while playing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Replay;
use crate::replay::{IdleGaps, Range, Speed};
use crate::storage::StorageError;
use crate::ws::frames;
use relive_protocol::{IdleStretch, ReplaySpeed, ReplayState, ServerFrame};
use relive_session::{Revision, Timestamp};

/// The least time between two unrequested reports.
const INTERVAL: Duration = Duration::from_millis(200);
/// The least time between two computations of idle gaps in a session that grows.
const SEARCH: Duration = Duration::from_secs(5);

/// The last report, and what the next one needs.
pub(super) struct Report {
    /// The content of the last report, and when it was sent.
    position: Option<Position>,
    sent: Instant,
    idle_gaps: IdleGaps,
    /// Detached, not aborted, when the replay ends: the connection would have to wait for the end of the query
    /// all the same.
    search: Option<JoinHandle<Result<IdleGaps, StorageError>>>,
    next_search: Instant,
}

/// The part that can change without a request of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    revision: Revision,
    at: Timestamp,
    playing: bool,
    live: bool,
    last: Revision,
    idle_gaps_up_to: Revision,
}

impl Report {
    pub fn new(range: &Range, skip_idle: Option<Duration>) -> Self {
        let (idle_gaps, now) = (IdleGaps::new(range, skip_idle), Instant::now());
        Self { position: None, sent: now, idle_gaps, search: None, next_search: now }
    }
}

impl Replay {
    /// Reports the position.
    pub(super) fn report(&mut self) {
        let position = self.position();
        let (range, options) = (self.player.range(), self.player.options());
        let state = ReplayState {
            session_id: self.request.session_id,
            revision: position.revision,
            at: position.at,
            speed: match self.player.playhead().pace().speed() {
                Speed::Times(factor) => ReplaySpeed::Times(factor.get()),
                Speed::Max => ReplaySpeed::Max,
            },
            playing: position.playing,
            live: position.live,
            first_revision: range.first,
            // A live viewer may be ahead of the replay.
            last_revision: position.last,
            start_at: range.start_at,
            end_at: range.end_at.max(position.at),
            idle: self.report.idle_gaps.stretches().iter().map(|&(from, to)| IdleStretch { from, to }).collect(),
            skip_idle_ms: options.skip_idle.and_then(|longest| u64::try_from(longest.as_millis()).ok()),
        };
        self.socket.send(frames::text(&ServerFrame::ReplayState(Box::new(state))));
        self.report.position = Some(position);
        self.report.sent = Instant::now();
    }

    /// Reports changes, unless the last report is too recent or the client is busy.
    pub(super) fn report_if_due(&mut self) {
        self.search_idle_gaps();
        if self.closing.is_some() || self.socket.is_blocked() {
            return;
        }
        let position = self.position();
        let has_changed = self.report.position != Some(position);
        let (now, next) = (Instant::now(), self.report.sent + INTERVAL);
        if has_changed && now >= next {
            self.report();
        }
        let moves = position.playing && !position.live && position.revision < position.last;
        if moves || has_changed {
            self.wake_at(self.report.sent + INTERVAL);
        }
    }

    fn position(&self) -> Position {
        let range = self.player.range();
        let pace = self.player.playhead().pace();
        let (revision, at) = if let Some(edge) = &self.edge {
            let held = edge.viewer.held();
            (held.revision, held.base.map_or(range.end_at, |base| base.updated_at))
        } else {
            let sent = self.base.as_ref().map_or_else(|| self.player.revision(), |base| base.revision);
            (sent, self.player.at(self.wall()))
        };
        Position {
            revision,
            at,
            playing: pace.is_playing(),
            live: self.edge.is_some(),
            last: range.last.max(revision),
            idle_gaps_up_to: self.report.idle_gaps.up_to(),
        }
    }

    /// Computes idle gaps in the background: that reads every event once, and the first frame should not wait
    /// for it.
    fn search_idle_gaps(&mut self) {
        let report = &mut self.report;
        if let Some(search) = &mut report.search {
            let Some(found) = search.now_or_never() else { return };
            report.search = None;
            if let Ok(Ok(idle_gaps)) = found {
                report.idle_gaps = idle_gaps;
            }
        }
        let (last, now) = (self.player.range().last, Instant::now());
        if last <= report.idle_gaps.up_to() {
            return;
        }
        if now < report.next_search {
            let next = report.next_search;
            self.wake_at(next);
        } else {
            report.next_search = now + SEARCH;
            let storage = self.gateway.storage.clone();
            let look_up = report.idle_gaps.clone().look_up(storage, self.request.session_id, last);
            let (socket, places) = (Arc::downgrade(&self.socket), Arc::clone(&self.gateway.searches));
            report.search = Some(tokio::spawn(async move {
                let place = places.acquire().await;
                let found = look_up.await;
                drop(place);
                if let Some(socket) = socket.upgrade() {
                    socket.wake.notify_one();
                }
                found
            }));
        }
    }
}
