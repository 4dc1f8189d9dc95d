//! The live list of sessions.

use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::link::AuthenticatedConnection;
use super::socket::{Incoming, Lost};
use super::token::Tokens;
use super::{Address, ClientError, Options};
use relive_backoff::Backoff;
use relive_protocol::ServerFrame;
use relive_session::{SessionId, SessionStatus};

/// Which sessions a list shows. Empty fields do not restrict it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFilters {
    pub status: Vec<SessionStatus>,
    pub group_id: Option<Uuid>,
    pub workflow_id: Option<Uuid>,
    /// Only those that this session has started.
    pub parent_session_id: Option<SessionId>,
    /// Only those that no other session has started.
    pub roots_only: bool,
    /// Only those whose engine held a lease that has passed.
    pub stalled: bool,
    pub limit: Option<u32>,
}

impl SessionFilters {
    fn query(&self) -> String {
        let statuses: Vec<&str> = self.status.iter().map(|status| status.as_str()).collect();
        let pairs = [
            ("status", (!statuses.is_empty()).then(|| statuses.join(","))),
            ("groupId", self.group_id.map(|id| id.to_string())),
            ("workflowId", self.workflow_id.map(|id| id.to_string())),
            ("parentSessionId", self.parent_session_id.map(|id| id.to_string())),
            ("rootsOnly", self.roots_only.then(|| "true".to_owned())),
            ("stalled", self.stalled.then(|| "true".to_owned())),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ];
        let pairs: Vec<String> =
            pairs.into_iter().filter_map(|(name, value)| value.map(|value| format!("{name}={value}"))).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

/// A list of sessions that stays up to date: first `sessions`, then one `session` for each change.
/// After a reconnect it begins again with `sessions`.
pub struct LiveList {
    url: String,
    tokens: Tokens,
    options: Options,
    backoff: Backoff,
    socket: Option<AuthenticatedConnection>,
}

impl LiveList {
    pub(super) fn new(address: &Address, filters: &SessionFilters, tokens: Tokens, options: Options) -> Self {
        Self {
            url: address.ws(&format!("/ws/sessions{}", filters.query())),
            backoff: Backoff::with_full_jitter(options.backoff_first, options.backoff_most),
            tokens,
            options,
            socket: None,
        }
    }

    /// The next frame.
    ///
    /// # Errors
    ///
    /// If the server says not to reconnect. Lost connections are reconnected.
    pub async fn next(&mut self) -> Result<ServerFrame, ClientError> {
        loop {
            let lost = match self.next_frame().await {
                Ok(frame) => return Ok(frame),
                Err(lost) => lost,
            };
            self.socket = None;
            let reason = lost.reason()?;
            tracing::debug!(%reason, "the list's connection was lost");
            sleep(self.backoff.next_wait()).await;
        }
    }

    async fn next_frame(&mut self) -> Result<ServerFrame, Lost> {
        if self.socket.is_none() {
            self.socket = Some(AuthenticatedConnection::connect(&self.url, &self.tokens).await?);
        }
        let silent = || Lost::Temporary("no data from the server in time".to_owned());
        while let Some(socket) = &mut self.socket {
            let incoming = timeout(self.options.silence, socket.next()).await.map_err(|_| silent())??;
            self.backoff.reset();
            let Incoming::Text(text) = incoming else { continue };
            // Unknown frames are ignored.
            if let Ok(frame @ (ServerFrame::Sessions { .. } | ServerFrame::Session { .. })) =
                serde_json::from_str(&text)
            {
                return Ok(frame);
            }
        }
        Err(silent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_a_query() {
        assert_eq!(SessionFilters::default().query(), "");
        let filters = SessionFilters {
            status: vec![SessionStatus::Running, SessionStatus::Paused],
            limit: Some(5),
            ..SessionFilters::default()
        };
        assert_eq!(filters.query(), "?status=running,paused&limit=5");
    }
}
