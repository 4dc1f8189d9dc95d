//! Driver leases: renewing the lease of an engine outside the server, and recording that one has expired.
//!
//! ```text
//! leaseSeconds ─▶ the row's time is moved ─▶ the history says so, if it has to
//! time is up   ─▶ a server claims the row ─▶ reads the session ─▶ is it still claimed? ─▶ `stalled`
//! ```
//!
//! A renewal that finds the row claimed, or its time up, is always recorded, and the `stalled` of a server holds
//! only for the lease that it has read of before it looked at the row again. So whichever of the two is written
//! first, a driver that has renewed is not left stalled; and of several servers that record the same, all but one
//! lose the race for the revision and find it done.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Hub;
use super::error::HubError;
use super::live_session::LiveSession;
use super::submission::{LeaseRenewal, Submission};
use crate::storage::{LapsedLease, StorageError};
use relive_session::{Command, Refusal, check_lease, limits};

/// The longest interval between two polls: no lease is shorter, so none expires unseen in it.
const POLL_INTERVAL: Duration = Duration::from_secs(limits::SHORTEST_LEASE as u64);
/// The shortest pause.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// The maximum number of leases claimed at once.
const CLAIMED: u32 = 64;
/// A command renews the lease only after this part of it (one eighth) has passed since the last renewal; the stored
/// expiry is extended by as much to make up for it.
const SKIPPED: u32 = 8;

impl Hub {
    /// Renews the lease that a submission asks for. The next command of a driver that was given up renews it too.
    pub(super) async fn renew_lease(&self, live: &LiveSession, submission: &mut Submission) -> Result<(), HubError> {
        if submission.lease_seconds.is_none() && !submission.commands.iter().any(Command::is_of_driver) {
            return Ok(());
        }
        submission.lease_seconds.map_or(Ok(()), check_lease)?;
        let session = Arc::clone(live.head().session());
        let lapsed = session.lease.filter(|lease| lease.is_stalled).map(|lease| lease.seconds);
        let Some(seconds) = submission.lease_seconds.or(lapsed) else { return Ok(()) };
        session.check_leasable()?;
        if session.status.is_ended() {
            // What an engine reports late it reports without a lease.
            let refusal = Refusal::SessionTransition { command: "lease", status: session.status };
            return if submission.commands.is_empty() { Err(refusal.into()) } else { Ok(()) };
        }
        // A heartbeat is always written.
        let has_commands = !submission.commands.is_empty();
        let is_fresh = has_commands && !session.is_stalled() && live.has_lease_of(seconds);
        let is_late = if is_fresh { false } else { self.write_lease(live, seconds).await? };
        submission.renewal = Some(LeaseRenewal { seconds, is_late });
        Ok(())
    }

    async fn write_lease(&self, live: &LiveSession, seconds: u32) -> Result<bool, StorageError> {
        let now = Instant::now();
        let time = Duration::from_secs(seconds.into());
        let is_late = self.inner.store.renew_driver_lease(live.id(), time + time / SKIPPED).await?;
        live.lease_written(seconds, now + time / SKIPPED);
        Ok(is_late)
    }

    /// Records that leases have passed, for as long as it is polled. Without leases it costs one look at an empty
    /// index every few seconds.
    pub async fn watch_leases(self) {
        loop {
            let pause = match self.record_lapsed().await {
                Ok(next) => next.unwrap_or(POLL_INTERVAL).clamp(SHORTEST_PAUSE, POLL_INTERVAL),
                Err(error) => {
                    tracing::debug!(%error, "cannot look for leases that have passed");
                    POLL_INTERVAL
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Records the leases that have passed; returns how long until the next one does.
    async fn record_lapsed(&self) -> Result<Option<Duration>, HubError> {
        let store = &self.inner.store;
        let next = store.next_driver_lease().await?;
        if next.is_none_or(|next| !next.is_zero()) {
            return Ok(next);
        }
        for lapsed in store.claim_lapsed_leases(CLAIMED).await? {
            match self.record_one(lapsed).await {
                Ok(()) | Err(HubError::NotFound) => {}
                // The claim ends, and somebody tries again.
                Err(error) => {
                    tracing::debug!(%error, session_id = %lapsed.session_id, "cannot record that a lease has passed");
                }
            }
        }
        Ok(store.next_driver_lease().await?)
    }

    async fn record_one(&self, lapsed: LapsedLease) -> Result<(), HubError> {
        let (id, store) = (lapsed.session_id, &self.inner.store);
        let session = self.session(id).await?;
        let is_over = session.status.is_ended() || session.is_stalled();
        if let Some(lease) = session.lease.filter(|_| !is_over) {
            // Only now: a renewal after this is recorded behind what was read above.
            if !store.is_still_lapsed(lapsed).await? {
                return Ok(());
            }
            let stall = Command::Stall { granted: Some(lease.revision) };
            let identity = Some(session.identity());
            self.execute(Submission { expected_identity: identity, ..Submission::new(id, vec![stall]) }).await?;
            let is_done = self.session(id).await?.is_stalled();
            metrics::counter!("relive_leases_lapsed_total").increment(u64::from(is_done));
            if !is_done {
                return Ok(());
            }
        }
        Ok(store.end_lapsed_lease(lapsed).await?)
    }
}
