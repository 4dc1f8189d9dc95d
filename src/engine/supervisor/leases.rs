//! Taking, renewing and releasing the leases of sessions.

use std::collections::HashSet;

use super::{BATCH, Supervisor};
use relive_session::SessionId;

impl Supervisor {
    /// Restarts, lapsed leases, times that have come: whatever no server drives although it should.
    pub(super) async fn look(&mut self) {
        let room = self.options.sessions.saturating_sub(self.running.len() + self.wanted.len()).min(4 * BATCH);
        if room == 0 {
            return;
        }
        match self.hub.store().undriven_sessions(u32::try_from(room).unwrap_or(u32::MAX)).await {
            Ok(ids) => ids.into_iter().for_each(|id| self.want(id)),
            Err(error) => tracing::warn!(%error, "cannot look for sessions to drive"),
        }
    }

    pub(super) async fn resume_runs(&mut self) {
        let room = self.options.sessions.saturating_sub(self.running.len());
        let some = room.min(BATCH).min(self.wanted.len());
        if some == 0 {
            return;
        }
        let ids: Vec<SessionId> = self.wanted.drain(..some).collect();
        for id in &ids {
            self.is_wanted.remove(id);
        }
        // Those that another server holds are its own; it looks at them itself.
        match self.hub.store().take_leases(self.holder, &ids, self.options.lease).await {
            Ok(taken) => taken.into_iter().for_each(|taken| self.drive(taken)),
            // The next look at the table finds them again.
            Err(error) => tracing::warn!(%error, "cannot take sessions up"),
        }
    }

    pub(super) async fn renew(&mut self) {
        self.release_again().await;
        let driven: Vec<SessionId> = self.running.keys().copied().collect();
        if driven.is_empty() {
            return;
        }
        match self.hub.store().renew_leases(self.holder, &driven, self.options.lease).await {
            Ok(held) => {
                let held: HashSet<SessionId> = held.into_iter().collect();
                for (id, detach) in self.running.iter().filter(|(id, _)| !held.contains(id)) {
                    tracing::warn!(session_id = %id, "lost the lease; letting go");
                    detach.cancel();
                }
            }
            Err(error) => tracing::warn!(%error, "cannot renew leases"),
        }
    }

    async fn release_again(&mut self) {
        if self.unreleased.is_empty() {
            return;
        }
        let ids: Vec<SessionId> = self.unreleased.iter().copied().collect();
        match self.hub.store().release_leases(self.holder, &ids).await {
            Ok(()) => self.unreleased.clear(),
            Err(error) => tracing::debug!(%error, "still cannot give sessions back"),
        }
    }
}
