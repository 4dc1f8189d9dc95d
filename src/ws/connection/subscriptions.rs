//! The subscriptions of a connection, and advancing their viewers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ClientConnection;
use crate::hub::{Hub, HubError};
use crate::scoped::Refused;
use crate::ws::client::Client;
use crate::ws::frame_ids::as_written;
use crate::ws::rooms::Membership;
use crate::ws::viewer::{Viewer, ViewerStep};
use crate::ws::{backfill, frames, refusals};
use relive_protocol::{CloseCode, ErrorCode, ServerFrame, Subscribe};
use relive_session::{Revision, SessionId};

/// How long a client waits at most for a revision that it has seen on another server.
const REFRESH: Duration = Duration::from_secs(5);

/// A client that holds a newer revision than is in memory here has seen it on another server, whose notice has
/// not arrived yet: the journal is read first, so that it is not sent an older state after a newer one.
pub(in crate::ws) async fn refresh(hub: Hub, id: SessionId, after: Revision) -> Result<(), HubError> {
    tokio::time::timeout(REFRESH, hub.refresh(id, after)).await.unwrap_or(Err(HubError::Unavailable))
}

pub(super) struct Subscribed {
    pub(super) viewer: Arc<Viewer>,
    /// When to advance the viewer without a wake-up.
    pub(super) due: Option<Instant>,
    _membership: Membership,
}

impl ClientConnection {
    /// `text` is the frame that asks for it.
    pub(super) async fn subscribe(&mut self, subscribe: &Subscribe, text: &str) -> Option<CloseCode> {
        let id = subscribe.session_id;
        if self.viewers.len() >= self.gateway.options.subscriptions && !self.viewers.contains_key(&id) {
            let problem = format!("a socket holds at most {} subscriptions", self.gateway.options.subscriptions);
            self.socket.send(frames::error_frame(None, Some(as_written(text, id)), ErrorCode::TooLarge, &problem));
            return None;
        }
        match self.join(subscribe).await {
            Ok(end) => end,
            Err(error) => {
                self.socket.send(refusals::frame(None, as_written(text, id), &error));
                None
            }
        }
    }

    /// Subscribing again replaces the subscription. Returns the code to close with if the session was
    /// deleted while the viewer joined, and the socket is for this session only.
    pub(super) async fn join(&mut self, subscribe: &Subscribe) -> Result<Option<CloseCode>, Refused> {
        let id = subscribe.session_id;
        self.viewers.remove(&id);
        // Loads it, as joining does.
        self.identity.scoped.session(id).await?;
        if let Some(after) = subscribe.after {
            refresh(self.gateway.hub.clone(), id, after).await?;
        }
        let socket = Arc::clone(&self.socket);
        let may_read = self.identity.may_read();
        let announce = self.only != Some(id);
        let (viewer, membership) = self
            .gateway
            .rooms
            .join(id, |live, streams| {
                if announce {
                    let (revision, mode) = (live.head().session().revision, subscribe.mode.unwrap_or_default());
                    socket.send(frames::text(&ServerFrame::Subscribed { session_id: id, revision, mode }));
                }
                let viewer = Viewer::new(Client::Socket(socket), live, streams, subscribe);
                viewer.restrict(may_read);
                viewer
            })
            .await?;
        // Due at once: `serve_viewers` shows the first state.
        self.viewers.insert(id, Subscribed { viewer, due: Some(Instant::now()), _membership: membership });
        Ok(self.serve_viewers().await)
    }

    /// Advances the viewers that are due or that their room could not advance.
    pub(super) async fn serve_viewers(&mut self) -> Option<CloseCode> {
        let now = Instant::now();
        let blocked = self.socket.is_blocked();
        let mut refused = Vec::new();
        for (id, subscribed) in &mut self.viewers {
            let is_due = subscribed.due.is_some_and(|due| due <= now);
            if !(subscribed.viewer.take_mark() || is_due) {
                continue;
            }
            subscribed.due = None;
            if blocked {
                // Advanced again as soon as the client has read what it was sent.
                subscribed.viewer.mark_again();
                continue;
            }
            match backfill::advance(&self.gateway.hub, &subscribed.viewer).await {
                ViewerStep::UpToDate => {}
                ViewerStep::Blocked | ViewerStep::NeedsJournal(_) => subscribed.viewer.mark_again(),
                ViewerStep::NotBefore(time) => subscribed.due = Some(time),
                ViewerStep::Deleted => refused.push((*id, HubError::NotFound.into())),
                ViewerStep::Forbidden => refused.push((*id, self.identity.scoped.denied(*id))),
            }
        }
        for (id, refused) in refused {
            self.viewers.remove(&id);
            self.socket.send(refusals::frame(None, id, &refused));
            if self.only == Some(id) {
                return Some(refusals::close_code(&refused));
            }
        }
        None
    }
}
