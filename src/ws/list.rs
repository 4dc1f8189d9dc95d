//! A live list: which sessions match a filter, and what becomes of them.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::frames;
use super::gateway::Gateway;
use super::socket::Socket;
use crate::hub::{FeedChange, Hub, HubError};
use crate::protocol::{ErrorCode, ServerFrame, SessionChange};
use crate::session::{SessionId, SessionSummary};
use crate::storage::SessionFilter;

/// The least time between two rounds of changes: a session that changes more often is shown at its
/// newest.
const ROUND: Duration = Duration::from_millis(50);
/// How often a list that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Sessions that a list remembers having shown. One that was forgotten comes as `added` again.
const KNOWN: usize = 10_000;

/// Keeps a client's list up to date for as long as it is polled.
pub(super) async fn follow(gateway: Gateway, socket: Arc<Socket>, filter: SessionFilter, limit: u32) {
    let mut list = List { hub: gateway.hub, socket, filter, limit, known: Known::default() };
    loop {
        // The feed first, so that no change falls between the list and its changes.
        let mut feed = list.hub.feed();
        list.show_all().await;
        while let Some(changes) = feed.next().await {
            let round = Instant::now();
            for change in changes {
                list.show(change).await;
            }
            list.room().await;
            tokio::time::sleep_until(round + ROUND).await;
        }
    }
}

struct List {
    hub: Hub,
    socket: Arc<Socket>,
    filter: SessionFilter,
    limit: u32,
    known: Known,
}

impl List {
    async fn show_all(&mut self) {
        let page = loop {
            match self.hub.storage().summaries(&self.filter, None, self.limit).await {
                Ok(page) => break page,
                Err(error) => {
                    let error = HubError::from(error);
                    let code = frames::error_code(&error);
                    self.socket.send(frames::error_frame(None, None, code, &error.to_string()));
                    if code != ErrorCode::Unavailable {
                        return;
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        self.room().await;
        self.known = Known::default();
        page.items.iter().for_each(|summary| self.known.insert(summary.id));
        self.socket.send(frames::text(&ServerFrame::Sessions { sessions: page.items }));
    }

    async fn show(&mut self, change: FeedChange) {
        match change {
            FeedChange::Deleted(summary) => {
                if self.known.remove(summary.id) {
                    self.send(SessionChange::Removed, SessionSummary::clone(&summary)).await;
                }
            }
            FeedChange::Changed(id) => {
                let Ok(session) = self.hub.session(id).await else { return };
                match (self.filter.matches(&session), self.known.contains(id)) {
                    (true, true) => self.send(SessionChange::Changed, session.summary()).await,
                    (true, false) => {
                        self.known.insert(id);
                        self.send(SessionChange::Added, session.summary()).await;
                    }
                    (false, true) => {
                        self.known.remove(id);
                        self.send(SessionChange::Removed, session.summary()).await;
                    }
                    (false, false) => {}
                }
            }
        }
    }

    async fn send(&self, change: SessionChange, session: SessionSummary) {
        self.room().await;
        self.socket.send(frames::text(&ServerFrame::Session { change, session: Box::new(session) }));
    }

    /// Waits until the client has taken what it was sent: changes wait in the feed, not for it.
    async fn room(&self) {
        while self.socket.is_blocked() && !self.socket.is_broken() {
            // The connection's task flushes as the kernel takes more; this only looks again.
            if self.socket.tcp().writable().await.is_err() {
                return;
            }
            self.socket.flush();
        }
    }
}

/// The sessions a client has been shown, the oldest forgotten first.
#[derive(Default)]
struct Known {
    ids: HashSet<SessionId>,
    order: VecDeque<SessionId>,
}

impl Known {
    fn contains(&self, id: SessionId) -> bool {
        self.ids.contains(&id)
    }

    fn insert(&mut self, id: SessionId) {
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
        while self.order.len() > KNOWN {
            if let Some(oldest) = self.order.pop_front() {
                self.ids.remove(&oldest);
            }
        }
    }

    fn remove(&mut self, id: SessionId) -> bool {
        self.ids.remove(&id)
    }
}
