//! The runs of this server: started, ended, restarted.

use std::sync::Arc;
use std::time::Duration;

use tokio::task;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{BATCH, EngineOptions, POLL, RunEnded, Supervisor, UNRELEASED_LEASES};
use crate::engine::local::LocalLink;
use crate::engine::node_task::error_text;
use crate::engine::plan::{Kinds, Plan};
use crate::engine::run::{Control, Ended, RunError, RunOptions, run};
use crate::engine::session_link::SessionLink as _;
use crate::engine::wall::WallClock;
use crate::hub::{Hub, HubError, Submission};
use crate::storage::{ClaimedLease, Parked};
use relive_backoff::Backoff;
use relive_session::{Command, Revision, Session, SessionId};

/// The first and the longest pause before a run is restarted after another client has changed a node.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

const LAST_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause before a failed run is restarted.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Failed runs that are remembered.
const FAILED: usize = 4_096;

/// Leases whose release is retried.
const UNRELEASED: usize = 4_096;

impl Supervisor {
    pub(super) fn drive(&mut self, claimed: ClaimedLease) {
        let ClaimedLease { session_id: id, revision, mut crashes, at } = claimed;
        let clock = WallClock::showing(at);
        if crashes > 0 {
            tracing::warn!(session_id = %id, crashes, "resumed after its server disappeared");
        }
        let detach = CancellationToken::new();
        self.unreleased.remove(&id);
        self.running.insert(id, detach.clone());
        self.hub.drive(id);
        let (hub, kinds, options, holder) = (self.hub.clone(), Arc::clone(&self.kinds), self.options, self.holder);
        let run = self.runs.spawn(async move {
            let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
            loop {
                let began = Instant::now();
                let ended = match hub.refresh(id, revision).await {
                    Ok(()) => drive(&hub, &kinds, options, (id, crashes, clock), &detach).await,
                    Err(error) => Err(RunError::Lost(error.to_string())),
                };
                let again = matches!(ended, Err(RunError::Fenced)) && !detach.is_cancelled();
                if !again {
                    return (id, ended);
                }
                // The cause may have been the session's current driver.
                let held = hub.store().renew_leases(holder, &[id], options.lease).await;
                if held.is_ok_and(|held| held.is_empty()) {
                    return (id, Err(RunError::Detached));
                }
                crashes = 0;
                tracing::debug!(session_id = %id, "another client changed a node; the run begins again");
                if began.elapsed() > LAST_PAUSE {
                    backoff.reset();
                }
                tokio::time::sleep(backoff.next_wait()).await;
            }
        });
        self.tasks.insert(run.id(), id);
    }

    /// Releases the leases of all runs that have ended by now.
    pub(super) async fn ended(&mut self, first: RunEnded) {
        let (mut over, mut parked) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(ended) = next {
            match ended {
                Ok((task, (id, Ok(Ended::Parked { revision, wake_after })))) => {
                    self.tasks.remove(&task);
                    self.failed.remove(&id);
                    parked.push(Parked { session_id: id, revision, wake_after });
                }
                Ok((task, (id, ended))) => {
                    self.tasks.remove(&task);
                    match &ended {
                        Ok(_) | Err(RunError::Detached) => drop(self.failed.remove(&id)),
                        Err(error) => self.back_off(id, error),
                    }
                    over.push(id);
                }
                Err(error) => self.run_panicked(&error),
            }
            next = if over.len() + parked.len() < BATCH { self.runs.try_join_next_with_id() } else { None };
        }
        let store = self.hub.store();
        let released = if over.is_empty() { Ok(()) } else { store.release_leases(self.holder, &over).await };
        let parking = if parked.is_empty() { Ok(()) } else { store.park_leases(self.holder, &parked).await };
        if released.is_err() {
            self.unreleased.extend(over.iter().copied().take(UNRELEASED.saturating_sub(self.unreleased.len())));
        }
        if let Err(error) = released.and(parking) {
            error.log(UNRELEASED_LEASES);
        }
        for id in over.iter().copied().chain(parked.iter().map(|parked| parked.session_id)) {
            self.running.remove(&id);
            self.hub.release_drive(id);
        }
        for Parked { session_id, revision, .. } in parked {
            if self.has_moved_on(session_id, revision).await {
                self.want(session_id);
            }
        }
    }

    /// A run that failed is restarted, with growing pauses.
    pub(super) fn back_off(&mut self, id: SessionId, error: &RunError) {
        let now = Instant::now();
        if self.failed.len() >= FAILED {
            self.failed.retain(|_, (_, until)| *until > now);
        }
        let times = self.failed.get(&id).map_or(0, |(times, _)| *times);
        let pause = Backoff::new(POLL, LONGEST_PAUSE).bound_after(times);
        tracing::warn!(session_id = %id, %error, ?pause, "a run failed; it is restarted");
        if self.failed.len() < FAILED {
            self.failed.insert(id, (times + 1, now + pause));
        }
    }

    /// A panic in a run: its lease is no longer renewed, and the server that finds it expired counts a crash.
    pub(super) fn run_panicked(&mut self, error: &task::JoinError) {
        let id = self.tasks.remove(&error.id());
        tracing::error!(session_id = ?id, %error, "a run panicked");
        if let Some(id) = id {
            self.running.remove(&id);
            self.hub.release_drive(id);
        }
    }

    /// Whether the session changed while it was being released.
    async fn has_moved_on(&self, id: SessionId, since: Revision) -> bool {
        match self.hub.session(id).await {
            Ok(session) => session.revision != since,
            Err(_) => false,
        }
    }
}

/// One run, from the session's current state.
async fn drive(
    hub: &Hub,
    kinds: &Arc<dyn Kinds>,
    options: EngineOptions,
    (id, crashes, clock): (SessionId, u32, WallClock),
    detach: &CancellationToken,
) -> Result<Ended, RunError> {
    let lost = |error: HubError| RunError::Lost(error.to_string());
    // The receiver is gone if the run has ended.
    let answers = detach.child_token();
    let _ended = answers.clone().drop_guard();
    let (link, events) = LocalLink::open(hub.clone(), id, answers).await.map_err(lost)?;
    let session = link.session();
    if !session.status.is_live() {
        return Ok(Ended::Completed);
    }
    if session.is_held() {
        return Ok(Ended::Parked { revision: session.revision, wake_after: None });
    }
    let Some(graph) = session.origin.graph.clone() else {
        return fail(hub, &session, "the session has no graph").await;
    };
    let plan = match Plan::new_in_background(graph, Arc::clone(kinds)).await {
        Ok(plan) => Arc::new(plan),
        Err(error) => return fail(hub, &session, &error.to_string()).await,
    };
    let control = Control { detach: detach.clone(), ..Control::default() };
    let options = RunOptions { parallel: options.nodes, park_after: Some(options.park_after), crashes, clock };
    run(plan, options, Arc::new(link), events, control, |_| ()).await
}

/// Fails a session that this version of the server cannot run, with the reason.
async fn fail(hub: &Hub, session: &Session, error: &str) -> Result<Ended, RunError> {
    let mut submission = Submission::new(session.id, vec![Command::Fail { error: error_text(error) }]);
    (submission.by, submission.expected_identity) = (hub.engine_actor(), Some(session.identity()));
    let failed = hub.execute(submission).await;
    failed.map_err(|error| RunError::Lost(error.to_string()))?;
    Ok(Ended::Failed { error: error.to_owned() })
}
