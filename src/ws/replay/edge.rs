//! The live edge of a replay: a live viewer takes over, and returns.

use std::sync::Arc;

use tokio::time::Instant;

use super::Replay;
use crate::hub::HubError;
use crate::replay::ReplayError;
use crate::storage::StorageError;
use crate::ws::backfill;
use crate::ws::client::Client;
use crate::ws::rooms::Membership;
use crate::ws::viewer::{ClientState, Viewer, ViewerStep};
use relive_protocol::Subscribe;

/// A replay that continues live.
pub(super) struct LiveEdge {
    pub viewer: Arc<Viewer>,
    /// When to advance the viewer without a wake-up.
    due: Option<Instant>,
    _membership: Membership,
}

impl Replay {
    /// Continues live from what the client holds. The viewer joins the session's room before it reads the newest
    /// state, so nothing is missed or repeated.
    pub(super) async fn go_live(&mut self) -> Result<Option<Instant>, ReplayError> {
        let (id, revision) = (self.request.session_id, self.player.revision());
        let subscribe = Subscribe {
            session_id: id,
            mode: Some(self.request.mode),
            after: Some(revision),
            messages: Some(self.request.texts.messages),
            logs: Some(self.request.texts.logs),
            min_interval_ms: u64::try_from(self.request.min_interval.as_millis()).ok(),
        };
        let held = ClientState { revision, texts: self.texts.max(revision), base: self.base.clone() };
        let client = Client::Socket(Arc::clone(&self.socket));
        let may_read = self.may_read.clone();
        let joining = self.gateway.rooms.join(id, |live, streams| {
            let viewer = Viewer::new(client, live, streams, &subscribe).resumed(held);
            viewer.restrict(may_read);
            viewer
        });
        let (viewer, membership) = joining.await.map_err(|error| match error {
            HubError::NotFound => ReplayError::Gone,
            _ => ReplayError::Storage(StorageError::TimedOut),
        })?;
        self.edge = Some(LiveEdge { viewer, due: Some(Instant::now()), _membership: membership });
        self.report();
        self.follow_live().await
    }

    /// Advances the live viewer if its room could not; returns when to do so again.
    pub(super) async fn follow_live(&mut self) -> Result<Option<Instant>, ReplayError> {
        let Some(edge) = &mut self.edge else { return Ok(None) };
        let is_due = edge.due.is_some_and(|due| due <= Instant::now());
        if edge.viewer.take_mark() || is_due {
            edge.due = None;
            if self.socket.is_blocked() {
                edge.viewer.mark_again();
            } else {
                match backfill::advance(&self.gateway.hub, &edge.viewer).await {
                    ViewerStep::UpToDate => {}
                    ViewerStep::Blocked | ViewerStep::NeedsJournal(_) => edge.viewer.mark_again(),
                    ViewerStep::NotBefore(time) => edge.due = Some(time),
                    ViewerStep::Deleted => return Err(ReplayError::Gone),
                    ViewerStep::Forbidden => return Err(ReplayError::Forbidden),
                }
            }
        }
        let (due, has_ended) = (edge.due, edge.viewer.has_told_end());
        if has_ended {
            self.leave_live().await?;
            self.player.pause(self.wall());
            self.report();
            return Ok(None);
        }
        Ok(due)
    }

    /// Returns to the journal, from what the client was shown live; false if it was not live.
    pub(super) async fn leave_live(&mut self) -> Result<bool, ReplayError> {
        let Some(edge) = self.edge.take() else { return Ok(false) };
        let ClientState { revision, texts, base } = edge.viewer.leave();
        drop(edge);
        self.refresh().await?;
        let range = *self.player.range();
        let at = match &base {
            Some(base) => base.updated_at,
            None if revision == range.last => range.end_at,
            None => self.player.time_of(revision).await?,
        };
        self.player.go_on_from(self.wall(), revision, at, None, base.as_deref().cloned());
        (self.texts, self.base) = (texts, base);
        Ok(true)
    }
}
