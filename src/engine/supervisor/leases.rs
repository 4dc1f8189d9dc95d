//! Claims, renews and releases the run leases of this server.

use std::collections::HashSet;
use std::time::Duration;

use super::{BATCH, Supervisor};
use crate::hub::Hub;
use relive_session::SessionId;

/// How often the marks of parked sessions are compared with the leases.
const MARKS: Duration = Duration::from_mins(5);
/// The pause between two statements that correct some.
const PAUSE: Duration = Duration::from_millis(100);

/// Corrects the marks of parked sessions, at the start and now and then; never returns.
pub(super) async fn correct_parked(hub: Hub) {
    loop {
        let pause = match hub.store().correct_parked().await {
            Ok(true) => PAUSE,
            Ok(false) => MARKS,
            Err(error) => {
                tracing::debug!(%error, "cannot compare the marks of parked sessions with the leases");
                MARKS
            }
        };
        tokio::time::sleep(pause).await;
    }
}

impl Supervisor {
    /// Finds sessions that should be driven and are not: after restarts, with expired leases or due timers.
    pub(super) async fn poll(&mut self) {
        let room = self.options.sessions.saturating_sub(self.running.len() + self.wanted.len()).min(4 * BATCH);
        if room == 0 {
            return;
        }
        match self.hub.store().undriven_sessions(u32::try_from(room).unwrap_or(u32::MAX)).await {
            Ok(ids) => ids.into_iter().for_each(|id| self.want(id)),
            Err(error) => error.log("cannot query sessions to drive"),
        }
    }

    /// Claims the leases of wanted sessions and starts to drive them.
    pub(super) async fn claim(&mut self) {
        let room = self.options.sessions.saturating_sub(self.running.len());
        let some = room.min(BATCH).min(self.wanted.len());
        if some == 0 {
            return;
        }
        let ids: Vec<SessionId> = self.wanted.drain(..some).collect();
        for id in &ids {
            self.is_wanted.remove(id);
        }
        // Sessions whose lease another server holds are not returned.
        match self.hub.store().claim_leases(self.holder, &ids, self.options.lease).await {
            Ok(claimed) => claimed.into_iter().for_each(|claimed| self.drive(claimed)),
            // The next poll of the table finds them again.
            Err(error) => error.log("cannot claim leases"),
        }
    }

    /// Renews the leases of all driven sessions, and releases those that were lost.
    pub(super) async fn renew_leases(&mut self) {
        self.retry_releases().await;
        let driven: Vec<SessionId> = self.running.keys().copied().collect();
        if driven.is_empty() {
            return;
        }
        match self.hub.store().renew_leases(self.holder, &driven, self.options.lease).await {
            Ok(held) => {
                let held: HashSet<SessionId> = held.into_iter().collect();
                for (id, detach) in self.running.iter().filter(|(id, _)| !held.contains(id)) {
                    tracing::warn!(session_id = %id, "lost the lease; releasing the session");
                    detach.cancel();
                }
            }
            Err(error) => error.log("cannot renew leases"),
        }
    }

    async fn retry_releases(&mut self) {
        if self.unreleased.is_empty() {
            return;
        }
        let ids: Vec<SessionId> = self.unreleased.iter().copied().collect();
        match self.hub.store().release_leases(self.holder, &ids).await {
            Ok(()) => self.unreleased.clear(),
            Err(error) => tracing::debug!(%error, "still cannot release leases"),
        }
    }
}
