//! A live list: which sessions match a filter, and their changes.
//!
//! A client may hold more rows than it was sent here: older ones, read page by page over HTTP. So `removed`
//! is sent for every session that it may hold and that no longer matches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::time::Instant;

use super::client::Client;
use super::frames;
use super::gateway::Gateway;
use super::listed::Listed;
use crate::hub::{FeedChange, Hub, HubError};
use crate::storage::{SessionFilter, Storage, StorageError, Visible};
use relive_protocol::{ErrorCode, ServerFrame, SessionChange};
use relive_session::{NodeCounts, Session, SessionId, SessionSummary};

/// The least time between two rounds of changes: a session that changes more often is sent in its newest
/// state.
const ROUND: Duration = Duration::from_millis(50);
/// How often a list that could not be read is retried.
const RETRY: Duration = Duration::from_secs(1);

/// Keeps a client's list up to date for as long as it is polled.
pub(super) async fn follow(gateway: Gateway, client: Client, filter: SessionFilter, limit: u32) {
    let mut list =
        List { hub: gateway.hub, storage: gateway.storage, client, filter, limit, listed: Listed::default() };
    loop {
        // Subscribe to the feed first, so that no change is missed between the list and its changes.
        let mut feed = list.hub.feed();
        list.show_all().await;
        while let Some(changes) = feed.next().await {
            let round = Instant::now();
            if let Err(error) = list.show_changes(changes).await {
                tracing::debug!(%error, "a live list could not be updated; it starts over");
                break;
            }
            list.room().await;
            tokio::time::sleep_until(round + ROUND).await;
        }
    }
}

/// A summary without data besides the session's identity.
fn withheld(summary: SessionSummary) -> SessionSummary {
    SessionSummary {
        workflow_id: None,
        workflow_name: None,
        group_id: None,
        started_at: None,
        completed_at: None,
        total_tokens: 0,
        total_cost_usd: Decimal::ZERO,
        error: None,
        node_counts: NodeCounts::default(),
        name: None,
        tags: Arc::default(),
        metadata: Arc::default(),
        driver_seen_at: None,
        is_stalled: false,
        parent_session_id: None,
        parent_node_id: None,
        child_count: 0,
        ..summary
    }
}

struct List {
    hub: Hub,
    storage: Storage,
    client: Client,
    filter: SessionFilter,
    limit: u32,
    listed: Listed,
}

impl List {
    async fn show_all(&mut self) {
        let page = loop {
            match self.storage.summaries(&self.filter, None, self.limit).await {
                Ok(page) => break page,
                Err(error) => {
                    let error = HubError::from(error);
                    let code = frames::error_code(&error);
                    self.client.send(frames::error_frame(None, None, code, &error.to_string()), None);
                    if code != ErrorCode::Unavailable {
                        return;
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        self.room().await;
        self.listed = Listed::after(&page);
        let next_cursor = page.next.map(|cursor| cursor.encode());
        self.client.send(frames::text(&ServerFrame::Sessions { sessions: page.items, next_cursor }), None);
    }

    async fn show_changes(&mut self, changes: Vec<FeedChange>) -> Result<(), StorageError> {
        // Deleted ones too: the change may be late, and another session be stored under the id.
        let ids = || changes.iter().map(FeedChange::id);
        let held: HashMap<SessionId, Arc<Session>> = ids().filter_map(|id| Some((id, self.hub.held(id)?))).collect();
        // Sessions that other servers drive are not in memory here, and are read together.
        let elsewhere: Vec<SessionId> = ids().filter(|id| !held.contains_key(id)).collect();
        let mut stored = match &elsewhere[..] {
            [] => HashMap::new(),
            ids => self.storage.summaries_of(&self.filter, ids).await?,
        };
        let held_ids: Vec<SessionId> = held.keys().copied().collect();
        let children = self.child_counts(&held_ids).await?;
        for change in changes {
            let id = change.id();
            let shown = |session: &Arc<Session>| {
                let child_count = children.get(&id).copied().unwrap_or_default();
                (SessionSummary { child_count, ..session.summary() }, self.filter.matches(session))
            };
            let held = held.get(&id).map(shown);
            match (held.or_else(|| stored.remove(&id)), change) {
                (Some((summary, matches)), FeedChange::Changed(_)) => self.show(summary, matches).await,
                (Some((summary, matches)), FeedChange::Deleted(deleted))
                    if !summary.identity().is_named_by(deleted.identity()) =>
                {
                    if !self.listed.knows(&summary) {
                        self.remove(&deleted).await;
                    }
                    self.show(summary, matches).await;
                }
                (_, FeedChange::Deleted(deleted)) => self.remove(&deleted).await,
                // It was deleted meanwhile; the next change is its deletion.
                (None, FeedChange::Changed(_)) => {}
            }
        }
        Ok(())
    }

    /// How many children of these sessions, which are in memory, the client may see.
    async fn child_counts(&self, held: &[SessionId]) -> Result<HashMap<SessionId, u64>, StorageError> {
        let mut counts = self.hub.child_counts(held).await?;
        if self.filter.visible == Visible::All {
            return Ok(counts);
        }
        counts.retain(|_, count| *count > 0);
        if counts.is_empty() {
            return Ok(counts);
        }
        let parents: Vec<SessionId> = counts.into_keys().collect();
        self.storage.visible_child_counts(&self.filter, &parents).await
    }

    async fn remove(&mut self, deleted: &SessionSummary) {
        if self.filter.concerns(deleted) && self.listed.forget(deleted) {
            self.send(SessionChange::Removed, deleted.clone()).await;
        }
    }

    async fn show(&mut self, summary: SessionSummary, matches: bool) {
        // A session that the client may not see is not mentioned, not even as removed. One that it could see until
        // the session lost a tag is removed, without any other data.
        if !self.filter.concerns(&summary) {
            if self.listed.withdraw(&summary) {
                self.send(SessionChange::Removed, withheld(summary)).await;
            }
            return;
        }
        if self.listed.replace(&summary) {
            self.send(SessionChange::Removed, summary.clone()).await;
        }
        let Some(change) = self.listed.change(&summary, matches) else { return };
        self.send(change, summary).await;
    }

    async fn send(&self, change: SessionChange, session: SessionSummary) {
        self.room().await;
        self.client.send(frames::text(&ServerFrame::Session { change, session: Box::new(session) }), None);
    }

    /// Waits until the client has read what it was sent: changes wait in the feed.
    async fn room(&self) {
        let socket = match &self.client {
            Client::Socket(socket) => socket,
            Client::Events(events) => return events.room().await,
        };
        while socket.is_blocked() && !socket.is_broken() {
            // The connection's task flushes when the kernel accepts more; this only checks again.
            if socket.stream().tcp().writable().await.is_err() {
                return;
            }
            socket.flush();
        }
    }
}
