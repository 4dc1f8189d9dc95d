//! A lane: writes what was staged while its last commit ran, as one statement.
//!
//! There is no timer. Under light load a batch is one command and its latency one commit; under
//! heavy load batches grow and the cost per command falls. Their size is bounded in rows and in
//! bytes, so that the wait for the batch that is being written is short.
//!
//! Failures:
//!
//! - *The connection breaks, or the database does not answer.* Whether the batch was written is unknown,
//!   so the lane looks it up before it does anything else, for as long as that takes. What was not written
//!   is requeued. Commands that expire meanwhile are answered with `unavailable`, and
//!   are not written any more: the batch itself carries a deadline, which the database checks.
//! - *A session cannot be written in time*, because another transaction holds its row. From then on it is
//!   written alone, with pauses between attempts, so that it delays no other.
//! - *Another writer was first.* The sessions it changed are reloaded, their commands decided
//!   again, and the batch is written again. The others in the batch are unchanged.
//! - *Something in the batch cannot be written.* The batch is split until only that command
//!   fails; its session is reloaded, so that nothing decided on it remains.

mod commit;
mod handle;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::batch_plan::{BatchPlan, SessionAdvance, StatesAfter};
use super::commit_fanout::CommitFanout;
use super::decision::Decision;
use super::error::HubError;
use super::keyframes::Keyframes;
use super::pending_command::{CommandMetrics, PendingCommand, Received, answer, receive, requeue};
use super::remote_update::RemoteUpdate;
use super::size::QueueSize;
use super::store::{BatchWriter, Store};
use super::submission::Receipt;
use crate::spans::Broadcast;
use crate::storage::StorageError;
use relive_backoff::Backoff;
use relive_session::{SessionId, ambient};

pub(super) use handle::LaneHandle;

/// Rows in one commit at most, unless a single entry has more: some ten milliseconds.
const BATCH_ROWS: usize = 1_024;
/// Bytes of memory that the commands of one commit take at most, unless a single entry has more.
const BATCH_BYTES: usize = 4 << 20;
/// States of other servers that wait to be applied; beyond it, their senders wait.
const REMOTE_UPDATES: usize = 16;
/// How often a batch that keeps losing races is decided again before its commands are refused.
const RACES: usize = 50;

/// How long looking up a batch may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// Entries of a batch that could not be written, and are to be tried again. They count as queued.
struct Unwritten {
    entries: Vec<PendingCommand>,
    error: StorageError,
}

pub(super) struct Lane {
    store: Arc<dyn Store>,
    backlog: Arc<Backlog>,
    remote_updates: mpsc::Receiver<RemoteUpdate>,
    fanout: CommitFanout,
    keyframes: Keyframes,
    healthy: watch::Sender<bool>,
    writer: Option<Box<dyn BatchWriter>>,
    /// The number of the next batch; the upper half is random, so that two processes do not collide.
    next_batch: i64,
    /// Rows in the next batch at most: fewer after one that took too long.
    rows: usize,
    /// The pause after the next failure of the database.
    backoff: Backoff,
    stop: CancellationToken,
}

impl Lane {
    /// A lane that takes its commands from `backlog`.
    pub fn new(
        store: Arc<dyn Store>,
        backlog: Backlog,
        fanout: CommitFanout,
        keyframes: Keyframes,
        stop: CancellationToken,
    ) -> (Self, LaneHandle) {
        let backlog = Arc::new(backlog);
        let (send_update, remote_updates) = mpsc::channel(REMOTE_UPDATES);
        let healthy = watch::Sender::new(true);
        let handle =
            LaneHandle { backlog: Arc::clone(&backlog), remote_updates: send_update, healthy: healthy.subscribe() };
        let next_batch = (ambient::random().cast_signed() & i64::MAX) >> 32 << 32 | 1;
        let (rows, backoff, writer) = (BATCH_ROWS, Backoff::new(FIRST_RETRY, LAST_RETRY), None);
        let lane = Self {
            store,
            backlog,
            remote_updates,
            fanout,
            keyframes,
            healthy,
            writer,
            next_batch,
            rows,
            backoff,
            stop,
        };
        (lane, handle)
    }

    /// Runs until told to stop, and then until everything accepted is written or answered.
    pub async fn run(mut self) {
        let backlog = Arc::clone(&self.backlog);
        let mut is_closed = false;
        loop {
            let limit = QueueSize { entries: self.rows, rows: self.rows, bytes: BATCH_BYTES };
            let received = tokio::select! {
                biased;
                // Few, and fast: they were read and folded beforehand.
                Some(update) = self.remote_updates.recv() => {
                    self.apply_remote(update);
                    continue;
                }
                () = self.stop.cancelled(), if !is_closed => {
                    backlog.close();
                    is_closed = true;
                    continue;
                }
                received = backlog.next(limit) => received,
            };
            let Some(entries) = received else { return };
            metrics::gauge!("relive_backlog").set(backlog.len() as f64);
            let ready = self.decide_pending(entries);
            self.process(ready).await;
        }
    }

    /// Receives entries. Those of deleted sessions are answered: if another session is stored under the same id,
    /// a retry may succeed. That is looked up in the background, so the lane does not wait for it.
    fn decide_pending(&self, entries: Vec<PendingCommand>) -> Vec<PendingCommand> {
        let Received { ready, gone } = receive(entries);
        if !gone.is_empty() {
            let store = Arc::clone(&self.store);
            tokio::spawn(async move {
                let ids: Vec<SessionId> = gone.iter().map(|entry| entry.live.id()).collect();
                let look = tokio::time::timeout(LOOKUP_TIMEOUT, store.versions(&ids)).await;
                let stored = look.unwrap_or(Err(StorageError::TimedOut));
                for entry in gone {
                    let is_gone = stored.as_ref().is_ok_and(|stored| !stored.contains_key(&entry.live.id()));
                    answer(entry, Err(if is_gone { HubError::NotFound } else { HubError::Unavailable }));
                }
            });
        }
        ready
    }

    /// Applies what another server has committed. Between two batches nothing of a session is being
    /// written here, so its head moves in the order of its revisions.
    fn apply_remote(&self, update: RemoteUpdate) {
        let id = update.live.id();
        if update.apply() {
            self.fanout.feed.changed(id);
        }
    }

    /// Processes entries: when this returns, each is answered or requeued.
    async fn process(&mut self, entries: Vec<PendingCommand>) {
        if let Err(unwritten) = self.try_process(entries).await {
            self.retry_later(unwritten).await;
        }
    }

    /// Writes and answers entries; returns those that cannot be written now.
    async fn try_process(&mut self, mut entries: Vec<PendingCommand>) -> Result<(), Unwritten> {
        for _ in 0..RACES {
            entries = self.settle_written(entries).await?;
            if entries.is_empty() {
                return Ok(());
            }
            match self.write(&mut entries).await {
                Ok(states) => {
                    self.publish(entries, &states);
                    return Ok(());
                }
                Err(StorageError::Fenced) => entries = self.decide_again(entries).await?,
                Err(error) if error.is_transient() => {
                    requeue(&entries);
                    return Err(Unwritten { entries, error });
                }
                Err(error) if entries.len() == 1 => {
                    self.abandon(entries, error.into()).await;
                    return Ok(());
                }
                Err(_) => return Box::pin(self.bisect(entries)).await,
            }
        }
        self.abandon(entries, HubError::Unavailable).await;
        Ok(())
    }

    /// Requeues entries to retry their commit later; they count as queued already.
    async fn retry_later(&mut self, Unwritten { entries, error }: Unwritten) {
        if matches!(error, StorageError::Cancelled | StorageError::TimedOut) {
            tracing::warn!(%error, entries = entries.len(), "a batch took too long; smaller ones are tried");
            self.rows = (self.rows / 2).max(1);
            return self.backlog.push_front(entries, true);
        }
        error.log("a batch could not be written, and will be tried again");
        self.backlog.push_front(entries, false);
        tokio::time::sleep(self.backoff.next_wait()).await;
    }

    /// Refuses an entry, unless its command id was carried out earlier: then that is the answer. It is looked up
    /// in the background, so the lane does not wait for it.
    fn refuse(&self, entry: PendingCommand, error: HubError) {
        if entry.submission.command_id.is_none() || !matches!(error, HubError::Refused(_)) {
            return answer(entry, Err(error));
        }
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            let command_id = entry.submission.command_id.as_deref().unwrap_or_default();
            let outcome = match store.command_revision(entry.live.id(), command_id).await {
                Ok(Some(revision)) => Ok(Receipt { revision, duplicate: true }),
                Ok(None) => Err(error),
                Err(unknown) => Err(unknown.into()),
            };
            answer(entry, outcome);
        });
    }

    /// Publishes what was committed, then answers: a caller with an answer can read its effect.
    fn publish(&mut self, entries: Vec<PendingCommand>, states: &StatesAfter) {
        self.rows = (self.rows * 2).min(BATCH_ROWS);
        self.backoff.reset();
        self.backlog.record_success(entries.iter().map(|entry| entry.live.id()));
        for SessionAdvance { live, before, after, events, spans, .. } in
            BatchPlan::leading_to(states, &entries).by_session.into_values()
        {
            let Some(after) = after else { continue };
            let broadcast = Broadcast::of(spans.into_iter().filter(|_| live.is_watched()));
            live.publish_to(Arc::clone(&after), events.into_iter().flatten().cloned(), broadcast);
            self.fanout.committed(&after);
            self.keyframes.consider(&before, &after);
        }
        let mut command_metrics = CommandMetrics::default();
        for entry in entries {
            let receipt = match &entry.decision {
                Decision::Events { last, .. } => Receipt { revision: *last, duplicate: false },
                Decision::Duplicate { revision, .. } => Receipt { revision: *revision, duplicate: true },
                Decision::Written { revision } => Receipt { revision: *revision, duplicate: false },
                Decision::Refused { refusal, .. } => {
                    let refusal = refusal.clone();
                    self.refuse(entry, refusal.into());
                    continue;
                }
                // Not possible here: `receive` has decided all entries.
                Decision::Undecided => continue,
            };
            command_metrics.answer(entry, Ok(receipt));
        }
    }
}
